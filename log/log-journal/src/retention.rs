//! What the owner's retention policy looks at. The policy itself (bytes, time) is the broker's.

use std::ops::Bound;

use log_types::{SegmentId, StreamId};

use crate::options::ExtentInfo;
use crate::state::State;

impl State {
    /// One entry per sealed segment, then one for the segment being written.
    pub(crate) fn extents(&self, id: StreamId) -> Vec<ExtentInfo> {
        let Some(stream) = self.index.stream(id) else { return Vec::new() };
        let mut extents: Vec<ExtentInfo> = stream
            .extents
            .iter()
            .map(|extent| ExtentInfo {
                base_offset: extent.base,
                last_offset: extent.last,
                max_timestamp: extent.max_timestamp,
                bytes: extent.bytes,
                written_ms: self.written_ms(extent.segment),
                sealed: true,
            })
            .collect();
        let wanted = || stream.runs.iter().filter(|run| run.last >= stream.log_start);
        if let (Some(first), Some(last)) = (wanted().next(), stream.runs.last()) {
            extents.push(ExtentInfo {
                base_offset: first.base,
                last_offset: last.last,
                max_timestamp: wanted()
                    .map(|run| run.max_timestamp)
                    .max()
                    .unwrap_or(first.max_timestamp),
                bytes: wanted().map(|run| u64::from(run.len)).sum(),
                written_ms: None,
                sealed: false,
            });
        }
        extents
    }

    /// The pieces of the segment being written: a share like the others, part by part.
    pub(crate) fn open_extents(&self, id: StreamId) -> Vec<ExtentInfo> {
        let Some(stream) = self.index.stream(id) else { return Vec::new() };
        let wanted = stream.runs.iter().filter(|run| run.last >= stream.log_start);
        wanted
            .map(|run| ExtentInfo {
                base_offset: run.base,
                last_offset: run.last,
                max_timestamp: run.max_timestamp,
                bytes: u64::from(run.len),
                written_ms: None,
                sealed: false,
            })
            .collect()
    }

    /// When the segment was complete: the next one was made then.
    fn written_ms(&self, segment: SegmentId) -> Option<i64> {
        let after = (Bound::Excluded(segment), Bound::Unbounded);
        self.segments.range(after).next().map(|(_, next)| next.created_ms)
    }
}
