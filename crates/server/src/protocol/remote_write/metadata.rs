//! What a request says of metrics: `MetricMetadata{type=1, metric_family_name=2, help=4, unit=5}`.

use super::super::protobuf::{Reader, WireError, WireType};

/// What a sender says of one metric; texts are bytes as sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MetricMetadata<'a> {
    /// The type as a number of `MetricMetadata.MetricType`.
    pub kind_number: u64,
    /// The name of the metric, without suffixes such as `_bucket`.
    pub name: &'a [u8],
    /// The help text.
    pub help: &'a [u8],
    /// The unit.
    pub unit: &'a [u8],
}

impl<'a> MetricMetadata<'a> {
    /// The type as it is written in the text formats; of a number that nobody knows, `unknown`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self.kind_number {
            1 => "counter",
            2 => "gauge",
            3 => "histogram",
            4 => "gaugehistogram",
            5 => "summary",
            6 => "info",
            7 => "stateset",
            _ => "unknown",
        }
    }

    fn read(mut message: Reader<'a>) -> Result<Self, WireError> {
        let mut read = Self::default();
        while let Some(tag) = message.tag()? {
            let text = match tag.number {
                1 => {
                    tag.expect(WireType::Varint, "MetricMetadata.type")?;
                    read.kind_number = message.varint()?;
                    continue;
                }
                2 => &mut read.name,
                4 => &mut read.help,
                5 => &mut read.unit,
                _ => {
                    message.skip(tag)?;
                    continue;
                }
            };
            tag.expect(WireType::Bytes, "MetricMetadata")?;
            *text = message.bytes()?;
        }
        Ok(read)
    }
}

/// The metadata of a request, in the order sent. After an error it ends.
#[derive(Debug, Clone)]
pub struct MetadataIter<'a> {
    reader: Reader<'a>,
    failed: bool,
}

impl<'a> MetadataIter<'a> {
    /// Reads `body`, a request after snappy; series are passed over.
    #[must_use]
    pub fn new(body: &'a [u8]) -> Self {
        Self { reader: Reader::new(body), failed: false }
    }

    fn next_metadata(&mut self) -> Result<Option<MetricMetadata<'a>>, WireError> {
        while let Some(tag) = self.reader.tag()? {
            if tag.number == 3 {
                tag.expect(WireType::Bytes, "WriteRequest.metadata")?;
                return MetricMetadata::read(self.reader.message()?).map(Some);
            }
            self.reader.skip(tag)?;
        }
        Ok(None)
    }
}

impl<'a> Iterator for MetadataIter<'a> {
    type Item = Result<MetricMetadata<'a>, WireError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let next = self.next_metadata().transpose();
        self.failed = matches!(next, Some(Err(_)));
        next
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::protobuf::{write_bytes, write_tag, write_varint};
    use super::*;

    fn message(kind: u64, name: &str, help: &str, unit: &str) -> Vec<u8> {
        let mut inner = Vec::new();
        write_tag(1, WireType::Varint, &mut inner);
        write_varint(kind, &mut inner);
        for (number, text) in [(2, name), (4, help), (5, unit), (9, "later")] {
            write_bytes(number, text.as_bytes(), &mut inner);
        }
        let mut out = Vec::new();
        write_bytes(3, &inner, &mut out);
        out
    }

    #[test]
    fn metadata_is_found_among_series() {
        let mut body = message(1, "a_total", "Help.", "");
        super::super::encode_series([("__name__", "a_total")], &[], &mut body);
        body.extend(message(99, "b_seconds", "", "seconds"));
        let read: Vec<_> = MetadataIter::new(&body).collect::<Result<_, _>>().unwrap();
        let first = MetricMetadata { kind_number: 1, name: b"a_total", help: b"Help.", unit: b"" };
        assert_eq!(read[0], first);
        assert_eq!(
            (read[1].name, read[1].unit, read[1].kind()),
            (&b"b_seconds"[..], &b"seconds"[..], "unknown")
        );
        assert_eq!((read.len(), read[0].kind()), (2, "counter"));
    }

    #[test]
    fn every_cut_and_every_flip_ends_without_a_panic() {
        let body = message(3, "name", "help", "unit");
        for cut in 1..body.len() {
            let last = MetadataIter::new(&body[..cut]).last();
            assert!(matches!(last, Some(Err(_))), "{cut}");
        }
        for at in 0..body.len() {
            for bit in 0..8 {
                let mut flipped = body.clone();
                flipped[at] ^= 1 << bit;
                assert!(MetadataIter::new(&flipped).count() <= body.len());
            }
        }
    }
}
