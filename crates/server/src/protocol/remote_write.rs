//! `prometheus.WriteRequest`, remote write 1.0: read in place, and written.
//!
//! Reading copies nothing and allocates nothing: [`WriteRequest`] walks the series of a decoded body;
//! a [`TimeSeries`] hands out its labels as they lie on the wire ([`TimeSeries::labels_raw`], by which a
//! known series is found without parsing them), one by one, and its samples. The structure of a
//! series is checked when it is reached, the inside of a label when labels are read. Names and values
//! are bytes as sent: UTF-8, order, duplicates and lengths are judged by [`siltstone::Labels`].
//! Exemplars, native histograms and metadata are passed over and counted; a request that has metadata
//! is walked again for them ([`MetadataIter`]).
//!
//! Numbers of fields: `WriteRequest{timeseries=1, metadata=3}`, `TimeSeries{labels=1, samples=2,
//! exemplars=3, histograms=4}`, `Label{name=1, value=2}`, `Sample{value=1 double, timestamp=2 int64}`.
//! Unknown fields are skipped; of a repeated scalar field the last counts; an absent one is zero or
//! empty.

mod encode;
mod metadata;

use siltstone::Sample;

pub(super) use encode::write_label;
pub use encode::{encode, encode_series};
pub use metadata::{MetadataIter, MetricMetadata};

use super::protobuf::{self, Reader, Tag, WireError, WireType};

/// A label as sent: name and value, not checked for UTF-8.
pub type RawLabel<'a> = (&'a [u8], &'a [u8]);

/// What a request holds beyond float samples, so that the sender can be told.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ignored {
    /// Metadata of metrics.
    pub metadata: u64,
    /// Exemplars of series.
    pub exemplars: u64,
    /// Native histogram samples.
    pub histograms: u64,
}

/// The series of a request, in the order sent. After an error the iterator ends.
#[derive(Debug, Clone)]
pub struct WriteRequest<'a> {
    reader: Reader<'a>,
    ignored: Ignored,
    failed: bool,
}

impl<'a> WriteRequest<'a> {
    /// Reads `body`, a request after snappy.
    #[must_use]
    pub fn new(body: &'a [u8]) -> Self {
        Self { reader: Reader::new(body), ignored: Ignored::default(), failed: false }
    }

    /// What was passed over so far; complete when the iterator has ended.
    #[must_use]
    pub fn ignored(&self) -> Ignored {
        self.ignored
    }

    fn next_series(&mut self) -> Result<Option<TimeSeries<'a>>, WireError> {
        while let Some(tag) = self.reader.tag()? {
            match tag.number {
                1 => {
                    tag.expect(WireType::Bytes, "WriteRequest.timeseries")?;
                    let message = self.reader.message()?;
                    return TimeSeries::read(message, &mut self.ignored).map(Some);
                }
                3 => {
                    tag.expect(WireType::Bytes, "WriteRequest.metadata")?;
                    self.reader.bytes()?;
                    self.ignored.metadata += 1;
                }
                _ => self.reader.skip(tag)?,
            }
        }
        Ok(None)
    }
}

impl<'a> Iterator for WriteRequest<'a> {
    type Item = Result<TimeSeries<'a>, WireError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let next = self.next_series().transpose();
        self.failed = matches!(next, Some(Err(_)));
        next
    }
}

/// One series of a request, borrowed from the body.
#[derive(Debug, Clone)]
pub struct TimeSeries<'a> {
    /// From the first label to the end of the series.
    labels: Reader<'a>,
    /// From the first sample to the end of the series.
    samples: Reader<'a>,
    /// Bytes of the labels where nothing else stands between them.
    labels_bytes: Option<usize>,
    label_count: usize,
    sample_count: usize,
    offset: usize,
}

impl<'a> TimeSeries<'a> {
    /// Checks the fields of the series, but not the inside of labels and samples.
    fn read(mut message: Reader<'a>, ignored: &mut Ignored) -> Result<Self, WireError> {
        let offset = message.offset();
        let mut labels: Option<Reader<'a>> = None;
        let mut samples: Option<Reader<'a>> = None;
        let (mut label_count, mut sample_count) = (0, 0);
        let mut labels_end = offset;
        let mut contiguous = true;
        loop {
            let field = message.clone();
            let Some(tag) = message.tag()? else { break };
            match tag.number {
                1 => {
                    tag.expect(WireType::Bytes, "TimeSeries.labels")?;
                    message.bytes()?;
                    contiguous &= label_count == 0 || tag.offset == labels_end;
                    labels.get_or_insert(field);
                    label_count += 1 + message.skip_short(LABEL_TAG);
                    labels_end = message.offset();
                }
                2 => {
                    tag.expect(WireType::Bytes, "TimeSeries.samples")?;
                    message.bytes()?;
                    samples.get_or_insert(field);
                    sample_count += 1 + message.skip_short(SAMPLE_TAG);
                }
                _ => ignore(&mut message, tag, ignored)?,
            }
        }
        let labels = labels.unwrap_or_else(|| message.clone());
        let labels_bytes = contiguous.then(|| labels_end.saturating_sub(labels.offset()));
        let samples = samples.unwrap_or(message);
        Ok(Self { labels, samples, labels_bytes, label_count, sample_count, offset })
    }

    /// The labels as they lie on the wire, from the first tag to the end of the last label: equal bytes
    /// are equal labels. `None` if the sender put something else between them.
    #[must_use]
    pub fn labels_raw(&self) -> Option<&'a [u8]> {
        self.labels_bytes.map(|len| &self.labels.rest()[..len])
    }

    /// The labels in the order sent: name and value.
    #[must_use]
    pub fn labels(&self) -> LabelIter<'a> {
        LabelIter { reader: self.labels.clone(), left: self.label_count }
    }

    /// The samples in the order sent; every bit of a value is kept.
    #[must_use]
    pub fn samples(&self) -> SampleIter<'a> {
        SampleIter { reader: self.samples.clone(), left: self.sample_count }
    }

    /// The number of labels sent, those with empty values included.
    #[must_use]
    pub fn label_count(&self) -> usize {
        self.label_count
    }

    /// The number of samples.
    #[must_use]
    pub fn sample_count(&self) -> usize {
        self.sample_count
    }

    /// Where the series starts in the body, in bytes: for messages.
    #[must_use]
    pub fn offset(&self) -> usize {
        self.offset
    }
}

/// Passes over a field of a series that is not stored.
#[cold]
fn ignore(message: &mut Reader<'_>, tag: Tag, ignored: &mut Ignored) -> Result<(), WireError> {
    let count = match tag.number {
        3 => {
            tag.expect(WireType::Bytes, "TimeSeries.exemplars")?;
            &mut ignored.exemplars
        }
        4 => {
            tag.expect(WireType::Bytes, "TimeSeries.histograms")?;
            &mut ignored.histograms
        }
        _ => return message.skip(tag),
    };
    *count += 1;
    message.bytes().map(|_| ())
}

/// The tag of `TimeSeries.labels`, and of `Label.name`: field 1, bytes.
const LABEL_TAG: u8 = 0x0a;
/// The tag of `TimeSeries.samples`, and of `Label.value`: field 2, bytes.
const SAMPLE_TAG: u8 = 0x12;

/// The label that `label` holds if it is written as every sender does: a short name, then a short
/// value, and nothing else.
#[inline]
fn plain_label(label: &[u8]) -> Option<RawLabel<'_>> {
    let (name, rest) = protobuf::split_short(label, LABEL_TAG)?;
    let (value, rest) = protobuf::split_short(rest, SAMPLE_TAG)?;
    rest.is_empty().then_some((name, value))
}

/// The sample that `sample` holds if it is written as every sender does: value, then timestamp.
#[inline]
fn plain_sample(sample: &[u8]) -> Option<Sample> {
    let ([0x09, bits @ .., 0x10], varint) = sample.split_first_chunk::<10>()? else {
        return None;
    };
    let value = f64::from_bits(u64::from_le_bytes(*bits));
    let mut timestamp = 0u64;
    let (last, groups) = varint.split_last()?;
    // Nine groups of seven bits: longer ones take the general path.
    if groups.len() > 8 || *last >= 0x80 {
        return None;
    }
    for (i, byte) in varint.iter().enumerate() {
        if *byte < 0x80 && i < groups.len() {
            return None;
        }
        timestamp |= u64::from(byte & 0x7f) << (7 * i);
    }
    Some(Sample { timestamp: timestamp.cast_signed(), value })
}

/// Finds the next field 1 or 2 (as `number`) of a series whose fields have been checked.
#[inline]
fn next_field<'a>(reader: &mut Reader<'a>, number: u32) -> Result<Option<Reader<'a>>, WireError> {
    while let Some(tag) = reader.tag()? {
        if tag.number == number {
            return reader.message().map(Some);
        }
        reader.skip(tag)?;
    }
    Ok(None)
}

/// Iterates over the labels of a series as sent: name and value. After an error it ends.
#[derive(Debug, Clone)]
pub struct LabelIter<'a> {
    reader: Reader<'a>,
    left: usize,
}

impl<'a> LabelIter<'a> {
    /// Reads labels that [`TimeSeries::labels_raw`] once yielded.
    #[must_use]
    pub fn of_raw(labels_raw: &'a [u8]) -> Self {
        Self { reader: Reader::new(labels_raw), left: usize::MAX }
    }

    fn next_label(&mut self) -> Result<Option<RawLabel<'a>>, WireError> {
        let Some(mut label) = next_field(&mut self.reader, 1)? else { return Ok(None) };
        let (mut name, mut value) = (&[][..], &[][..]);
        while let Some(tag) = label.tag()? {
            match tag.number {
                1 => {
                    tag.expect(WireType::Bytes, "Label.name")?;
                    name = label.bytes()?;
                }
                2 => {
                    tag.expect(WireType::Bytes, "Label.value")?;
                    value = label.bytes()?;
                }
                _ => label.skip(tag)?,
            }
        }
        Ok(Some((name, value)))
    }
}

impl<'a> Iterator for LabelIter<'a> {
    type Item = Result<RawLabel<'a>, WireError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let start = self.reader.clone();
        if let Some(label) = self.reader.take_short(LABEL_TAG).and_then(plain_label) {
            return Some(Ok(label));
        }
        self.reader = start;
        let next = self.next_label().transpose();
        if !matches!(next, Some(Ok(_))) {
            self.left = 0;
        }
        next
    }
}

/// Iterates over the samples of a series as sent. After an error it ends.
#[derive(Debug, Clone)]
pub struct SampleIter<'a> {
    reader: Reader<'a>,
    left: usize,
}

impl SampleIter<'_> {
    fn next_sample(&mut self) -> Result<Option<Sample>, WireError> {
        let Some(mut sample) = next_field(&mut self.reader, 2)? else { return Ok(None) };
        let (mut bits, mut timestamp) = (0, 0);
        while let Some(tag) = sample.tag()? {
            match tag.number {
                1 => {
                    tag.expect(WireType::Fixed64, "Sample.value")?;
                    bits = sample.fixed64()?;
                }
                2 => {
                    tag.expect(WireType::Varint, "Sample.timestamp")?;
                    timestamp = sample.varint()?.cast_signed();
                }
                _ => sample.skip(tag)?,
            }
        }
        Ok(Some(Sample { timestamp, value: f64::from_bits(bits) }))
    }
}

impl Iterator for SampleIter<'_> {
    type Item = Result<Sample, WireError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let start = self.reader.clone();
        if let Some(sample) = self.reader.take_short(SAMPLE_TAG).and_then(plain_sample) {
            return Some(Ok(sample));
        }
        self.reader = start;
        let next = self.next_sample().transpose();
        if !matches!(next, Some(Ok(_))) {
            self.left = 0;
        }
        next
    }
}

#[cfg(test)]
mod tests;
