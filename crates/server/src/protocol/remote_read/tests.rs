//! Requests and answers: round trips, limits, damage.

use proptest::prelude::*;
use siltstone::{MatchOp, Matcher, Sample};

use super::*;
use crate::protocol::protobuf::{Reader, write_bytes, write_integer};
use crate::protocol::remote_write::WriteRequest;

fn query(matchers: Vec<Matcher>) -> Query {
    Query { start_ms: -5, end_ms: i64::MAX, matchers }
}

fn request(queries: Vec<Query>, accepted: Vec<ResponseType>) -> Vec<u8> {
    ReadRequest::new(queries, accepted).encode()
}

/// A request with one query of one matcher, whose fields are given.
fn with_matcher(write: impl Fn(&mut Vec<u8>)) -> Vec<u8> {
    let [mut matcher, mut query, mut request] = [const { Vec::new() }; 3];
    write(&mut matcher);
    write_bytes(3, &matcher, &mut query);
    write_bytes(1, &query, &mut request);
    request
}

fn refusal(body: &[u8]) -> String {
    ReadRequest::decode(body).unwrap_err().to_string()
}

#[test]
fn a_request_is_read_as_it_was_meant() {
    let matchers = vec![
        Matcher::equal("__name__", "دما"),
        Matcher::not_equal("a", ""),
        Matcher::regex("b", "x|y").unwrap(),
        Matcher::new(MatchOp::NotRegex, "c", ".*").unwrap(),
    ];
    let shown = |matchers: &[Matcher]| matchers.iter().map(Matcher::to_string).collect::<Vec<_>>();
    let body = request(
        vec![query(matchers.clone()), query(Vec::new())],
        vec![ResponseType::StreamedXorChunks, ResponseType::Samples],
    );
    let read = ReadRequest::decode(&body).unwrap();
    assert_eq!(read.queries.len(), 2);
    assert_eq!((read.queries[0].start_ms, read.queries[0].end_ms), (-5, i64::MAX));
    assert_eq!(shown(&read.queries[0].matchers), shown(&matchers));
    assert!(read.queries[1].matchers.is_empty());
    assert_eq!(read.response_type(), Ok(ResponseType::StreamedXorChunks));
}

#[test]
fn no_message_is_entered_that_is_not_known_and_groups_are_refused() {
    // In the matcher, in the query and in the request.
    let group = [9 << 3 | 3, 9 << 3 | 4];
    let in_matcher = with_matcher(|matcher| matcher.extend(group));
    let mut in_query = Vec::new();
    write_bytes(1, &group, &mut in_query);
    for body in [&in_matcher[..], &in_query, &group] {
        assert!(refusal(body).contains("the wire type 3 is a group"), "{}", refusal(body));
    }
    let known = with_matcher(|matcher| write_bytes(2, b"a", matcher));
    let unknown = with_matcher(|matcher| {
        write_bytes(2, b"a", matcher);
        write_bytes(9, &[0x0a; 1000], matcher);
    });
    let matchers = |body: &[u8]| ReadRequest::decode(body).unwrap().queries[0].matchers.len();
    assert_eq!(matchers(&known), matchers(&unknown));
}

#[test]
fn the_first_known_response_type_is_chosen() {
    let chosen = |body: &[u8]| ReadRequest::decode(body).unwrap().response_type();
    assert_eq!(chosen(&[]), Ok(ResponseType::Samples));
    // One by one, and packed.
    assert_eq!(chosen(&[0x10, 9, 0x10, 1, 0x10, 0]), Ok(ResponseType::StreamedXorChunks));
    assert_eq!(chosen(&[0x12, 3, 9, 0, 1]), Ok(ResponseType::Samples));
    assert_eq!(chosen(&[0x12, 2, 9, 7]), Err(ReadRequestError::NoResponseType));
    assert!(ReadRequest::decode(&[0x12, 2, 9, 0xff]).is_err(), "cut off");
    // As many as there are in the bytes; they are not kept.
    let many = ReadRequest::decode(&[0x10, 1].repeat(100_000)).unwrap();
    assert_eq!(many.accepted.len(), 1);
}

#[test]
fn what_is_wrong_is_told_with_its_place() {
    let good = |matcher: &mut Vec<u8>| {
        write_bytes(2, b"a", matcher);
        write_bytes(3, b"b", matcher);
    };
    assert!(ReadRequest::decode(&with_matcher(good)).is_ok());
    let unknown = with_matcher(|matcher| write_integer(1, 4, matcher));
    assert!(refusal(&unknown).starts_with("query 1, matcher 1: the type 4 is none of"));
    let bytes = with_matcher(|matcher| write_bytes(3, b"\xff", matcher));
    assert!(refusal(&bytes).contains("not valid UTF-8"));
    let pattern = with_matcher(|matcher| {
        write_integer(1, 2, matcher);
        write_bytes(3, b"a(", matcher);
    });
    assert!(refusal(&pattern).starts_with("query 1, matcher 1: invalid regular expression"));
    let cut = &with_matcher(good)[..5];
    assert!(refusal(cut).starts_with("protobuf, byte "), "{}", refusal(cut));
}

#[test]
fn queries_matchers_and_patterns_are_bounded() {
    let queries = |count| request(vec![query(Vec::new()); count], Vec::new());
    assert!(ReadRequest::decode(&queries(QUERIES_MAX)).is_ok());
    assert!(refusal(&queries(QUERIES_MAX + 1)).starts_with("more than 100 queries"));
    let matchers = |count| request(vec![query(vec![Matcher::equal("a", "b"); count])], Vec::new());
    assert!(ReadRequest::decode(&matchers(MATCHERS_MAX)).is_ok());
    assert_eq!(refusal(&matchers(MATCHERS_MAX + 1)), "query 1: more than 100 matchers");
    // Each within the limits of one pattern, all in one budget, also across queries.
    let large = |number| Matcher::regex("a", format!("(?i)[a-z]{{1,300}}{number}")).unwrap();
    let patterns = (0..QUERIES_MAX).map(|number| query(vec![large(number)])).collect();
    let message = refusal(&request(patterns, Vec::new()));
    assert!(message.contains("compile to more than the limit"), "{message}");
    // Equal ones count once.
    let equal = vec![query(vec![large(1)]); QUERIES_MAX];
    assert!(ReadRequest::decode(&request(equal, Vec::new())).is_ok());
}

/// The samples of an answer by its series, bit for bit.
type Answer = Vec<(u64, Vec<(String, String)>, Vec<(i64, u64)>)>;

fn text(label: (&[u8], &[u8])) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (text(label.0), text(label.1))
}

fn bits(sample: &Sample) -> (i64, u64) {
    (sample.timestamp, sample.value.to_bits())
}

fn read_frames(answer: &[u8]) -> Result<Answer, FrameError> {
    let mut series = Answer::new();
    for frame in Frames::new(answer) {
        let frame = frame?;
        let mut samples = Vec::new();
        for chunk in &frame.chunks {
            let chunk_samples = chunk.samples()?;
            assert!(chunk_samples.len() <= SAMPLES_PER_CHUNK);
            assert_eq!(chunk.min_ms, chunk_samples[0].timestamp);
            assert_eq!(chunk.max_ms, chunk_samples[chunk_samples.len() - 1].timestamp);
            samples.extend(chunk_samples.iter().map(bits));
        }
        series.push((frame.query, frame.labels.into_iter().map(text).collect(), samples));
    }
    Ok(series)
}

fn write_frame(writer: &mut FrameWriter, query: usize, out: &mut Vec<u8>) {
    writer.take_frame(query, |frame| {
        out.extend([&frame.head, frame.chunks, &frame.tail].concat());
    });
}

fn samples(count: usize) -> Vec<Sample> {
    let value = |i: usize| f64::from_bits((i as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    (0..count).map(|i| Sample { timestamp: i as i64 * 1000, value: value(i) }).collect()
}

#[test]
fn frames_are_read_back_and_every_flip_is_noticed() {
    let mut writer = FrameWriter::default();
    let mut answer = Vec::new();
    let mut expected = Answer::new();
    for (query, value, count) in [(0, "1", 1), (0, "10", 241), (2, "٢", 120)] {
        let labels = [("__name__", "up"), ("a", value)];
        writer.begin(labels);
        samples(count).into_iter().for_each(|sample| writer.push(sample));
        assert!(!writer.is_empty());
        write_frame(&mut writer, query, &mut answer);
        assert!(writer.is_empty());
        let labels = labels.map(|(n, v)| (n.to_owned(), v.to_owned())).to_vec();
        expected.push((query as u64, labels, samples(count).iter().map(bits).collect()));
    }
    assert_eq!(read_frames(&answer).unwrap(), expected);
    for bit in 0..answer.len() * 8 {
        let mut flipped = answer.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(read_frames(&flipped).is_err(), "bit {bit}");
    }
    for end in 1..answer.len() {
        let whole = read_frames(&answer[..end]).map_or(0, |read| read.len());
        assert!(whole < expected.len(), "{end} bytes pass for all");
    }
}

#[test]
fn a_frame_that_is_full_says_so() {
    let mut writer = FrameWriter::default();
    writer.begin([("a", "b")]);
    let mut answer = Vec::new();
    let all = samples(2_000_000);
    for sample in &all {
        writer.push(*sample);
        if writer.is_full() {
            write_frame(&mut writer, 0, &mut answer);
        }
    }
    write_frame(&mut writer, 0, &mut answer);
    let read = read_frames(&answer).unwrap();
    assert!(read.len() > 1);
    assert!(answer.len() < read.len() * (FRAME_BYTES_MAX + 4096));
    assert!(read.iter().all(|(_, labels, _)| *labels == read[0].1));
    let joined: Vec<_> = read.into_iter().flat_map(|(.., samples)| samples).collect();
    assert_eq!(joined, all.iter().map(bits).collect::<Vec<_>>());
}

#[test]
fn the_plain_answer_has_a_result_for_each_query() {
    let mut writer = SamplesWriter::new(1 << 20);
    let nan = Sample { timestamp: -1, value: f64::from_bits(0x7ff0_0000_0000_0002) };
    writer.series([("a", "1")], &[nan]).unwrap();
    writer.series([("a", "10")], &samples(300)).unwrap();
    writer.end_query();
    writer.end_query();
    writer.series([("b", "1")], &samples(1)).unwrap();
    writer.end_query();
    let message = writer.finish();
    let mut reader = Reader::new(&message);
    let mut results = Vec::new();
    while let Some(tag) = reader.tag().unwrap() {
        assert_eq!(tag.number, 1);
        let series = WriteRequest::new(reader.bytes().unwrap()).map(Result::unwrap);
        let samples = |s: crate::protocol::remote_write::TimeSeries<'_>| {
            s.samples().map(|sample| bits(&sample.unwrap())).collect::<Vec<_>>()
        };
        results.push(series.map(samples).collect::<Vec<_>>());
    }
    let all = |count| samples(count).iter().map(bits).collect::<Vec<_>>();
    assert_eq!(results, [vec![vec![bits(&nan)], all(300)], vec![], vec![all(1)]]);
}

#[test]
fn the_plain_answer_is_bounded() {
    let mut writer = SamplesWriter::new(22_000);
    assert!(writer.check_room(1000).is_ok() && writer.check_room(1001).is_err());
    writer.series([("a", "1")], &samples(600)).unwrap();
    let error = writer.series([("a", "2")], &samples(600)).unwrap_err();
    assert!(error.to_string().starts_with("exceeded sample limit"));
    assert!(error.to_string().contains("STREAMED_XOR_CHUNKS"));
    writer.end_query();
    assert!(writer.finish().len() < 22_000);
}

proptest! {
    #[test]
    fn any_bytes_end(bytes: Vec<u8>) {
        let _ = ReadRequest::decode(&bytes);
        for frame in Frames::new(&bytes).flatten() {
            frame.chunks.iter().for_each(|chunk| drop(chunk.samples()));
        }
    }
}
