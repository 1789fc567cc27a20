//! Which series the matchers select: postings of the keys that match, intersected.
//!
//! A matcher that does not match the empty string selects series by the values that it matches. One
//! that does also selects series without the label; so it is turned round: it *removes* the series
//! with a value that it does not match.

use std::ops::ControlFlow;

use super::BlockSource;
use super::cursor::KeyCursor;
use super::keys::{SEPARATOR, split_key};
use super::ordinal_set::OrdinalSet;
use super::postings::{PostingsRef, StreamReader};
use super::top::Top;
use crate::types::Matcher;

/// The lists whose union is what one matcher selects or removes.
struct Lists {
    lists: Vec<PostingsRef>,
    /// Ordinals in all of them.
    cost: u64,
}

/// The sorted ordinals of the series that all `matchers` match.
pub(super) fn select<S: BlockSource>(
    top: &Top,
    source: &S,
    matchers: &[Matcher],
) -> Result<Vec<u32>, S::Error> {
    let (mut keep, mut remove) = (Vec::new(), Vec::new());
    let mut ordered: Vec<&Matcher> = matchers.iter().collect();
    ordered.sort_by_key(|matcher| !is_look_up(matcher));
    let mut cursor = KeyCursor::new(top, source);
    for matcher in ordered {
        let lists = matching_lists(&mut cursor, matcher)?;
        match (matcher.matches_empty(), lists.lists.is_empty()) {
            (false, true) => return Ok(Vec::new()),
            (false, false) => keep.push(lists),
            (true, _) => remove.push(lists),
        }
    }
    keep.sort_by_key(|lists| lists.cost);
    let mut reader = StreamReader::new(source, top.stream_bytes, top.series_count);
    let mut keep = keep.into_iter();
    let mut selected = match keep.next() {
        Some(first) => collect(&mut reader, &first.lists, top.series_count)?,
        None => (0..top.series_count).collect(),
    };
    for lists in keep {
        filter(&mut reader, &mut selected, &lists.lists, true, top.series_count)?;
    }
    for lists in remove {
        filter(&mut reader, &mut selected, &lists.lists, false, top.series_count)?;
    }
    Ok(selected)
}

/// Whether the lists of a matcher are found without a walk over all values of its name.
fn is_look_up(matcher: &Matcher) -> bool {
    matcher.op().is_positive() != matcher.matches_empty() && matcher.literals().is_some()
}

/// The postings of the values that the matcher selects or, where it matches the empty string, of
/// those that it does not.
fn matching_lists<S: BlockSource>(
    cursor: &mut KeyCursor<'_, S>,
    matcher: &Matcher,
) -> Result<Lists, S::Error> {
    let mut found = Lists { lists: Vec::new(), cost: 0 };
    let mut key = matcher.name().as_bytes().to_vec();
    key.push(SEPARATOR);
    let name_len = key.len();
    // The values wanted are those that the pattern denotes, not the others.
    let denoted = matcher.op().is_positive() != matcher.matches_empty();
    if let Some(literals) = matcher.literals().filter(|_| denoted) {
        for literal in literals {
            key.truncate(name_len);
            key.extend_from_slice(literal.as_bytes());
            if cursor.seek(&key)? && cursor.key() == key {
                found.push(cursor.postings());
            }
        }
        return Ok(found);
    }
    if denoted {
        key.extend_from_slice(matcher.prefix().as_bytes());
    }
    let wanted = !matcher.matches_empty();
    let mut more = cursor.seek(&key)?;
    while more && cursor.key().starts_with(&key) {
        let (_, value) = split_key(cursor.key())?;
        if matcher.matches(value) == wanted {
            found.push(cursor.postings());
        }
        more = cursor.next()?;
    }
    Ok(found)
}

impl Lists {
    fn push(&mut self, list: Option<PostingsRef>) {
        self.cost += list.map_or(0, |list| u64::from(list.count));
        self.lists.extend(list);
    }
}

/// The union of the lists.
fn collect<S: BlockSource>(
    reader: &mut StreamReader<'_, S>,
    lists: &[PostingsRef],
    series_count: u32,
) -> Result<Vec<u32>, S::Error> {
    if let [list] = lists {
        let mut ordinals = Vec::with_capacity(list.count.min(series_count) as usize);
        reader.for_each_run(*list, |start, len| {
            ordinals.extend(start..start + len);
            ControlFlow::Continue(())
        })?;
        return Ok(ordinals);
    }
    Ok(union(reader, lists, series_count)?.iter().collect())
}

fn union<S: BlockSource>(
    reader: &mut StreamReader<'_, S>,
    lists: &[PostingsRef],
    series_count: u32,
) -> Result<OrdinalSet, S::Error> {
    let mut set = OrdinalSet::new(series_count);
    for list in lists {
        reader.for_each_run(*list, |start, len| {
            set.insert_run(start, len);
            ControlFlow::Continue(())
        })?;
    }
    Ok(set)
}

/// Keeps those of `selected` that are, or are not, in the union of the lists.
fn filter<S: BlockSource>(
    reader: &mut StreamReader<'_, S>,
    selected: &mut Vec<u32>,
    lists: &[PostingsRef],
    keep_members: bool,
    series_count: u32,
) -> Result<(), S::Error> {
    match lists {
        _ if selected.is_empty() => Ok(()),
        [] if keep_members => {
            selected.clear();
            Ok(())
        }
        [] => Ok(()),
        [list] => filter_by_one(reader, selected, *list, keep_members),
        lists => {
            let set = union(reader, lists, series_count)?;
            selected.retain(|&ordinal| set.contains(ordinal) == keep_members);
            Ok(())
        }
    }
}

/// One pass over both; stops reading the list behind the last of `selected`.
fn filter_by_one<S: BlockSource>(
    reader: &mut StreamReader<'_, S>,
    selected: &mut Vec<u32>,
    list: PostingsRef,
    keep_members: bool,
) -> Result<(), S::Error> {
    let (mut read, mut kept) = (0, 0);
    let mut pass = |selected: &mut [u32], until: u32, keep: bool| {
        while let Some(&ordinal) = selected.get(read).filter(|&&ordinal| ordinal < until) {
            selected[kept] = ordinal;
            kept += usize::from(keep);
            read += 1;
        }
        if read == selected.len() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    reader.for_each_run(list, |start, len| {
        pass(selected, start, !keep_members)?;
        pass(selected, start + len, keep_members)
    })?;
    let _ = pass(selected, u32::MAX, !keep_members);
    selected.truncate(kept);
    Ok(())
}
