//! Operators between two instant vectors.

use super::{meter, note_texts, reference, series, text};
use crate::annotations::Annotations;
use crate::ast::{BinaryOp, Cardinality, Fill, Matching, MatchingLabels, Span};
use crate::eval::binary::VectorVector;
use crate::eval::meter::Meter;
use crate::eval::threads::Threads;
use crate::flags::Features;
use crate::value::{LabelSet, Series, StepColumn};

/// An operator in the making.
pub(super) struct Query {
    op: BinaryOp,
    matching: Matching,
    return_bool: bool,
    delayed: bool,
}

/// `left op right`, one to one.
pub(super) fn query(op: BinaryOp) -> Query {
    let cardinality = match op {
        BinaryOp::And | BinaryOp::Or | BinaryOp::Unless => Cardinality::ManyToMany,
        _ => Cardinality::OneToOne,
    };
    let labels = MatchingLabels { on: false, labels: Vec::new() };
    let matching = Matching { cardinality, labels, include: Vec::new(), fill: Fill::default() };
    Query { op, matching, return_bool: false, delayed: false }
}

fn owned(labels: &[&str]) -> Vec<String> {
    labels.iter().map(|label| (*label).to_owned()).collect()
}

impl Query {
    pub(super) fn on(mut self, labels: &[&str]) -> Self {
        self.matching.labels = MatchingLabels { on: true, labels: owned(labels) };
        self
    }

    fn ignoring(mut self, labels: &[&str]) -> Self {
        self.matching.labels = MatchingLabels { on: false, labels: owned(labels) };
        self
    }

    pub(super) fn group_left(mut self, include: &[&str]) -> Self {
        self.matching.cardinality = Cardinality::ManyToOne;
        self.matching.include = owned(include);
        self
    }

    fn group_right(mut self, include: &[&str]) -> Self {
        self.matching.cardinality = Cardinality::OneToMany;
        self.matching.include = owned(include);
        self
    }

    pub(super) fn fill(mut self, left: Option<f64>, right: Option<f64>) -> Self {
        self.matching.fill = Fill { left, right };
        self
    }

    fn bool(self) -> Self {
        Self { return_bool: true, ..self }
    }

    fn delayed(self) -> Self {
        Self { delayed: true, ..self }
    }

    pub(super) fn operator<'a>(&'a self, steps: usize, meter: &'a Meter) -> VectorVector<'a> {
        VectorVector {
            op: self.op,
            matching: &self.matching,
            return_bool: self.return_bool,
            span: Span::new(0, 1),
            features: Features { delayed_name_removal: self.delayed, ..Features::default() },
            steps,
            threads: Threads::Rayon,
            meter,
        }
    }

    /// The results or the error, and the annotations.
    pub(super) fn run(
        &self,
        left: &[Series],
        right: &[Series],
    ) -> (Result<Vec<String>, String>, Vec<String>) {
        let steps = left.iter().chain(right).next().map_or(1, |s| s.values.steps());
        let mut notes = Annotations::default();
        let meter = meter(1 << 20);
        let operator = self.operator(steps, &meter);
        let results = operator.evaluate(left.to_vec(), right.to_vec(), &mut notes);
        assert!(results.is_err() || meter.bytes_held() == 0, "all is given back");
        let results = results.map(|r| text(&r)).map_err(|error| error.to_string());
        (results, note_texts(&notes))
    }

    #[track_caller]
    fn gives(&self, left: &[Series], right: &[Series], expected: &[&str]) {
        assert_eq!(self.run(left, right), (Ok(owned(expected)), Vec::new()));
    }

    #[track_caller]
    fn fails(&self, left: &[Series], right: &[Series], expected: &str) {
        assert_eq!(self.run(left, right).0, Err(expected.to_owned()));
    }
}

const MANY_TO_ONE: &str = "multiple matches for labels: many-to-one matching must be explicit \
                           (group_left/group_right)";
const GROUPING: &str = "multiple matches for labels: grouping labels must ensure unique matches";
const SAME_LABELS: &str = "vector cannot contain metrics with the same labelset";

#[test]
fn on_keeps_only_its_labels_and_ignoring_all_others() {
    let left = [series("m a=1 b=2 c=3", "5")];
    let right = [series("n a=1 b=2 c=4", "7")];
    let add = || query(BinaryOp::Add);
    add().on(&["a", "b"]).gives(&left, &right, &["{a=\"1\", b=\"2\"} 0:12"]);
    add().ignoring(&["c"]).gives(&left, &right, &["{a=\"1\", b=\"2\"} 0:12"]);
    add().gives(&left, &right, &[]);
    let less = || query(BinaryOp::Less);
    less().on(&["a"]).gives(&left, &right, &["{a=\"1\"} 0:5"]);
    less().ignoring(&["c"]).gives(&left, &right, &["{__name__=\"m\", a=\"1\", b=\"2\"} 0:5"]);
}

#[test]
fn arithmetic_and_bool_drop_name_type_and_unit() {
    let left = [series("m __type__=gauge __unit__=s a=1", "5")];
    let right = [series("n __type__=gauge __unit__=s a=1", "7")];
    query(BinaryOp::Add).gives(&left, &right, &["{a=\"1\"} 0:12"]);
    let kept = "{__name__=\"m\", __type__=\"gauge\", __unit__=\"s\", a=\"1\"}";
    query(BinaryOp::Less).gives(&left, &right, &[&format!("{kept} 0:5")]);
    query(BinaryOp::Less).bool().gives(&left, &right, &["{a=\"1\"} 0:1"]);
    let marked = format!("{kept} drop 0:1");
    query(BinaryOp::Less).bool().delayed().gives(&left, &right, &[&marked]);
    // Type and unit count in a match, the name does not.
    let other = [series("n __type__=counter __unit__=s a=1", "7")];
    query(BinaryOp::Add).gives(&left, &other, &[]);
}

#[test]
fn group_left_copies_labels_and_an_empty_one_deletes() {
    let left = [series("m a=1 c=old", "1"), series("m a=1 b=2", "2"), series("m a=3 c=x", "3")];
    let right = [series("n a=1 c=new", "10"), series("n a=3", "20")];
    query(BinaryOp::Mul).on(&["a"]).group_left(&["c"]).gives(
        &left[1..],
        &right,
        &["{a=\"1\", b=\"2\", c=\"new\"} 0:20", "{a=\"3\"} 0:60"],
    );
    query(BinaryOp::Less).on(&["a"]).group_left(&["__name__"]).gives(
        &left[..1],
        &right,
        &["{__name__=\"n\", a=\"1\", c=\"old\"} 0:1"],
    );
}

#[test]
fn a_filter_keeps_the_left_value_also_under_group_right() {
    let (one, many) =
        ([series("n a=1", "5")], [series("m a=1 b=1", "3"), series("m a=1 b=2", "7")]);
    query(BinaryOp::Greater).on(&["a"]).group_right(&[]).gives(
        &one,
        &many,
        &["{__name__=\"m\", a=\"1\", b=\"1\"} 0:5"],
    );
    query(BinaryOp::Sub).on(&["a"]).group_right(&[]).gives(
        &one,
        &many,
        &["{a=\"1\", b=\"1\"} 0:2", "{a=\"1\", b=\"2\"} 0:-2"],
    );
}

#[test]
fn duplicates_of_the_one_side_are_named_in_order() {
    let (left, right) = ([series("s", "3")], [series("d l=beta", "2"), series("d l=alpha", "1")]);
    let expected = "found duplicate series for the match group {} on the right hand-side of the \
                    operation: [{__name__=\"d\", l=\"alpha\"}, {__name__=\"d\", l=\"beta\"}];\
                    many-to-many matching not allowed: matching labels must be unique on one side";
    query(BinaryOp::Greater).on(&[]).fails(&left, &right, expected);
    let left_side = expected.replace("right hand", "left hand");
    query(BinaryOp::Greater).on(&[]).group_right(&[]).fails(&right, &left, &left_side);
}

#[test]
fn duplicates_matter_only_where_the_other_side_has_any_value() {
    let right = [series("d a=1 b=1", "1 1 _"), series("d a=1 b=2", "1 _ 1")];
    let elsewhere = [series("s a=9", "_ 3 3")];
    query(BinaryOp::Add).on(&["a"]).gives(&elsewhere, &right, &[]);
    let early = [series("s a=9", "3 3 3")];
    let error = query(BinaryOp::Add).on(&["a"]).run(&early, &right).0.unwrap_err();
    assert!(error.starts_with("found duplicate series for the match group {a=\"1\"}"), "{error}");
    let filled = query(BinaryOp::Add).on(&["a"]).fill(Some(0.0), None);
    assert!(filled.run(&elsewhere, &right).0.is_err(), "a fill makes it matter");
}

#[test]
fn several_of_one_signature_may_take_turns() {
    let left = [series("m a=1 b=1", "1 _ 3 _"), series("m a=1 b=2", "_ 2 _ _")];
    let right = [series("n a=1 c=1", "10 20 _ _"), series("n a=1 c=2", "_ _ 30 40")];
    query(BinaryOp::Add).on(&["a"]).gives(&left, &right, &["{a=\"1\"} 0:11 1:22 2:33"]);
    query(BinaryOp::Add).on(&["a"]).group_left(&["c"]).gives(
        &left,
        &right,
        &[
            "{a=\"1\", b=\"1\", c=\"1\"} 0:11",
            "{a=\"1\", b=\"1\", c=\"2\"} 2:33",
            "{a=\"1\", b=\"2\", c=\"1\"} 1:22",
        ],
    );
}

#[test]
fn several_of_the_left_at_one_step_need_group_left() {
    let left = [series("m a=1 b=1", "1"), series("m a=1 b=2", "2")];
    let right = [series("n a=1", "5")];
    for op in [BinaryOp::Add, BinaryOp::GreaterOrEqual, BinaryOp::Equal] {
        // Found before a comparison filters.
        query(op).on(&["a"]).fails(&left, &right, MANY_TO_ONE);
    }
    query(BinaryOp::Add).on(&["a"]).gives(&left, &[series("n a=2", "5")], &[]);
    query(BinaryOp::Add).on(&["a"]).fill(None, Some(0.0)).fails(&left, &[], MANY_TO_ONE);
}

#[test]
fn results_of_one_group_must_differ() {
    let left = [series("m a=1", "1"), series("n a=1", "2")];
    let right = [series("o a=1", "5")];
    query(BinaryOp::Add).on(&["a"]).group_left(&[]).fails(&left, &right, GROUPING);
    // Filtered out, but found before.
    query(BinaryOp::Greater).on(&["a"]).group_left(&["__name__"]).fails(&left, &right, GROUPING);
    let bool_results = query(BinaryOp::Greater).on(&["a"]).group_left(&[]).bool();
    bool_results.fails(&left, &right, GROUPING);
    bool_results.delayed().gives(
        &left,
        &right,
        &["{__name__=\"m\", a=\"1\"} drop 0:0", "{__name__=\"n\", a=\"1\"} drop 0:0"],
    );
}

#[test]
fn results_of_different_groups_must_differ_after_filters() {
    let left = [series("m", "1"), series("n", "2")];
    let right = [series("m", "5"), series("n", "5")];
    let add = || query(BinaryOp::Add).on(&["__name__"]);
    add().fails(&left, &right, SAME_LABELS);
    // Left to the end of the evaluation.
    add().delayed().gives(&left, &right, &["{} 0:6", "{} 0:7"]);
    let two_steps = |s: &[Series]| -> Vec<Series> {
        s.iter()
            .map(|s| Series { values: StepColumn::from_floats(vec![1.0; 2]), ..s.clone() })
            .collect()
    };
    add().delayed().fails(&two_steps(&left), &two_steps(&right), SAME_LABELS);
}

#[test]
fn the_error_of_the_earliest_step_is_reported() {
    let left =
        [series("m a=1 b=1", "_ 1 1"), series("m a=1 b=2", "_ _ 1"), series("m a=2", "1 1 1")];
    let right =
        [series("n a=1", "1 1 1"), series("n a=2 b=1", "_ 1 1"), series("n a=2 b=2", "_ 1 _")];
    let add = || query(BinaryOp::Add).on(&["a"]);
    let error = add().run(&left, &right).0.unwrap_err();
    assert!(error.starts_with("found duplicate series"), "{error}");
    add().fails(&left, &right[..2], MANY_TO_ONE);
    // Equal labels of results at an earlier step come before.
    let left = [series("m a=1", "1 _"), series("n a=1", "1 _"), series("o a=1", "_ 1")];
    let right =
        [series("m", "1 _"), series("n", "1 _"), series("o", "_ 1"), series("o c=2", "_ 1")];
    query(BinaryOp::Add).on(&["__name__"]).fails(&left, &right, SAME_LABELS);
}

#[test]
fn a_fill_stands_in_on_either_side() {
    let left = [series("l k=a", "10 _"), series("l k=c x=1", "30 30")];
    let right = [series("r k=a", "100 100"), series("r k=d", "400 _")];
    let sub = || query(BinaryOp::Sub).on(&["k"]);
    sub().fill(Some(5.0), None).gives(
        &left,
        &right,
        &["{k=\"a\"} 0:-90 1:-95", "{k=\"d\"} 0:-395"],
    );
    sub().fill(None, Some(7.0)).gives(&left, &right, &["{k=\"a\"} 0:-90", "{k=\"c\"} 0:23 1:23"]);
    // Labels that are not matched are none of the filled series.
    let not_equal = query(BinaryOp::NotEqual).ignoring(&["x"]).fill(Some(30.0), Some(30.0));
    not_equal.gives(
        &left,
        &right,
        &["{__name__=\"l\", k=\"a\"} 0:10", "{k=\"a\"} 1:30", "{k=\"d\"} 0:30"],
    );
}

#[test]
fn fill_right_stands_in_for_the_one_side_also_under_group_right() {
    // As Prometheus has it: the words of its documentation would give {instance="c"}.
    let meta = [series("meta instance=a", "100"), series("meta instance=c", "300")];
    let cpu = [series("cpu instance=a cpu=0", "1"), series("cpu instance=b cpu=0", "1")];
    let mul = || query(BinaryOp::Mul).on(&["instance"]).group_right(&[]);
    let matched = "{cpu=\"0\", instance=\"a\"} 0:100";
    let one = ["{cpu=\"0\", instance=\"b\"} 0:0"];
    mul().fill(None, Some(0.0)).gives(&meta, &cpu, &[matched, one[0]]);
    mul().fill(Some(0.0), None).gives(&meta, &cpu, &[matched, "{instance=\"c\"} 0:0"]);
}

#[test]
fn a_fill_stands_in_at_every_step_without_a_match() {
    let left = [series("l key=a", "1 _ 3")];
    let right = [series("r key=a", "10 20 30"), series("r key=b", "100 200 300")];
    query(BinaryOp::Add).on(&["key"]).group_left(&[]).fill(Some(0.0), None).gives(
        &left,
        &right,
        &["{key=\"a\"} 0:11 1:20 2:33", "{key=\"b\"} 0:100 1:200 2:300"],
    );
}

#[test]
fn set_operators_look_at_every_step() {
    let left =
        [series("m a=1 b=1", "1 2 h0"), series("m a=1 b=2", "_ 4 _"), series("m a=2", "5 5 5")];
    let right =
        [series("n a=1 c=1", "1 _ _"), series("n a=1 c=2", "_ _ h1"), series("n a=3", "_ 7 _")];
    let h0 = "3/6 Unknown None [0, 1] [1.0, 2.0] 0.0";
    let m = "{__name__=\"m\", a=\"1\", b=\"1\"}";
    query(BinaryOp::And).on(&["a"]).gives(&left, &right, &[&format!("{m} 0:1 2:{h0}")]);
    let others =
        ["{__name__=\"m\", a=\"1\", b=\"2\"} 1:4", "{__name__=\"m\", a=\"2\"} 0:5 1:5 2:5"];
    let unless = [&format!("{m} 1:2"), others[0], others[1]];
    query(BinaryOp::Unless).on(&["a"]).gives(&left, &right, &unless);
    let or =
        [&format!("{m} 0:1 1:2 2:{h0}"), others[0], others[1], "{__name__=\"n\", a=\"3\"} 1:7"];
    query(BinaryOp::Or).on(&["a"]).gives(&left, &right, &or);
    query(BinaryOp::And).on(&["a"]).gives(&left, &[], &[]);
    query(BinaryOp::Unless).on(&["a"]).gives(&left[2..], &[], &others[1..]);
}

#[test]
fn or_makes_one_series_of_equal_labels() {
    let left = [Series { drop_name: true, ..series("m a=1", "_ 2 _") }];
    let right = [series("m a=1", "5 5 _")];
    query(BinaryOp::Or).gives(&left, &right, &["{__name__=\"m\", a=\"1\"} 0:5 1:2"]);
}

#[test]
fn histograms_are_added_subtracted_and_compared() {
    let left = [series("m", "h0 h0 h3 h0")];
    let right = [series("n", "h2 _ h4 h3")];
    let (sum, notes) = query(BinaryOp::Add).run(&left, &right);
    let results = "{} 0:7/14 Unknown None [0, 1, 2] [1.0, 5.0, 1.0] 0.0 \
                   2:7/21 Unknown Some([10.0]) [0] [7.0] 0.0";
    assert_eq!(sum.unwrap(), [results]);
    assert_eq!(
        notes,
        [
            "PromQL warning: incompatible bucket layout encountered for binary operator + (1:1)",
            "PromQL info: mismatched custom buckets were reconciled during addition (1:1)",
        ]
    );
    let (difference, _) = query(BinaryOp::Sub).run(&left[..1], &[series("n", "h0 _ _ _")]);
    assert_eq!(difference.unwrap(), ["{} 0:0/0 Gauge None [] [] 0.0"]);
    let same = series("n", "h1 h2 h3 h4");
    let (equal, notes) = query(BinaryOp::Equal).bool().run(&left, &[same]);
    assert_eq!((equal.unwrap(), notes), (owned(&["{} 0:1 1:0 2:1 3:0"]), Vec::new()));
}

#[test]
fn contradicting_counter_resets_leave_no_result() {
    let (result, notes) = query(BinaryOp::Sub).run(&[series("m", "h1")], &[series("n", "h2")]);
    let warning = "PromQL warning: conflicting counter resets during histogram subtraction (1:1)";
    assert_eq!((result.unwrap(), notes), (Vec::new(), owned(&[warning])));
}

#[test]
fn a_mix_that_is_not_defined_is_no_match() {
    let left = [series("m a=1 b=1", "h0"), series("m a=1 b=2", "1")];
    let right = [series("n a=1", "5")];
    let (result, notes) = query(BinaryOp::Add).on(&["a"]).run(&left, &right);
    let info = "PromQL info: incompatible sample types encountered for binary operator \"+\": \
                histogram + float (1:1)";
    assert_eq!((result.unwrap(), notes), (owned(&["{a=\"1\"} 0:6"]), owned(&[info])));
    // So a fill stands in.
    let filled = query(BinaryOp::Add).on(&["a"]).fill(Some(2.0), None);
    assert_eq!(filled.run(&left[..1], &right).0.unwrap(), ["{a=\"1\"} 0:7"]);
}

#[test]
fn many_groups_in_parallel_give_the_same() {
    let steps = 512;
    let column = |seed: usize, gap: usize| {
        let mut column = StepColumn::absent(steps);
        for step in (0..steps).filter(|step| !(step + seed).is_multiple_of(gap)) {
            column.set_float(step, (seed * 31 + step) as f64);
        }
        column
    };
    let vector = |name: &str, gap: usize| -> Vec<Series> {
        let one = |at: usize| {
            let labels =
                [("__name__", name), ("a", &format!("{at}")), ("b", &format!("{}", at % 7))];
            let labels = LabelSet::from_pairs(labels);
            Series { labels, drop_name: false, values: column(at, gap) }
        };
        (0..70).map(one).collect()
    };
    let query = query(BinaryOp::Sub).fill(Some(1.0), None);
    let (left, right) = (vector("m", 3), vector("n", 5));
    let mut notes = Annotations::default();
    let meter = meter(0);
    let operator = query.operator(steps, &meter);
    let expected = reference::evaluate(&operator, &left, &right, &mut notes).unwrap();
    let mut expected = text(&expected);
    let mut got = query.run(&left, &right).0.unwrap();
    expected.sort();
    got.sort();
    assert_eq!(got, expected);
}
