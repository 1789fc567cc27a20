//! Remote read: requests, streamed answers, XOR chunks. What is read must encode and read back the same.

#![no_main]

use libfuzzer_sys::fuzz_target;
use siltstone::{Matcher, Sample};
use siltstone_server::protocol::remote_read::{FrameWriter, Frames, Query, ReadRequest};
use siltstone_server::protocol::xor_chunk::{XorReader, XorWriter};

fuzz_target!(|data: &[u8]| {
    request(data);
    chunk(data);
    Frames::new(data).flatten().for_each(|frame| {
        frame.chunks.iter().for_each(|chunk| drop(chunk.samples()));
    });
});

fn request(body: &[u8]) {
    let Ok(request) = ReadRequest::decode(body) else { return };
    let again = ReadRequest::decode(&request.encode()).expect("what was read is well-formed");
    let shown = |Query { start_ms, end_ms, matchers }: &Query| {
        let matchers: Vec<_> = matchers.iter().map(Matcher::to_string).collect();
        (*start_ms, *end_ms, matchers)
    };
    assert!(request.queries.iter().map(shown).eq(again.queries.iter().map(shown)));
    assert_eq!(request.accepted, again.accepted);
}

fn bits(sample: &Sample) -> (i64, u64) {
    (sample.timestamp, sample.value.to_bits())
}

/// Reads a chunk, and what can be read of it from a chunk and from a frame that are written anew.
fn chunk(data: &[u8]) {
    let Ok(reader) = XorReader::new(data) else { return };
    let samples: Vec<Sample> = reader.map_while(Result::ok).collect();
    if samples.is_empty() {
        return;
    }
    let expected: Vec<_> = samples.iter().map(bits).collect();
    let mut writer = XorWriter::default();
    samples.iter().for_each(|sample| writer.push(*sample));
    let again = XorReader::new(writer.bytes()).expect("a chunk");
    assert!(again.map(|sample| bits(&sample.expect("whole"))).eq(expected.iter().copied()));

    let mut frames = FrameWriter::default();
    frames.begin([("a", "b")]);
    samples.iter().for_each(|sample| frames.push(*sample));
    let answer = frames.take_frame(3, |f| [&f.head, f.chunks, &f.tail].concat());
    let frame = Frames::new(&answer).next().expect("one frame").expect("well-formed");
    let read = frame.chunks.iter().flat_map(|chunk| chunk.samples().expect("well-formed"));
    assert!(read.map(|sample| bits(&sample)).eq(expected));
}
