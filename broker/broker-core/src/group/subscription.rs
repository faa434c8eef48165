//! The topics of a consumer's subscription: the start of the `consumer` protocol's metadata.
//!
//! ```text
//! i16 version │ i32 count │ count × (i16 length, UTF-8 topic) │ … (ignored)     big-endian
//! ```
//! Spec: `ConsumerProtocolSubscription.json`. Clients write these bytes; the coordinator only reads them to refuse
//! deleting or expiring offsets of subscribed topics (KIP-211, KIP-496).

use std::collections::BTreeSet;

/// Adds the topics of `metadata` to `topics`. False when the bytes are not a subscription.
pub(super) fn subscribed_topics(metadata: &[u8], topics: &mut BTreeSet<String>) -> bool {
    let Some((version, mut rest)) = take::<2>(metadata) else { return false };
    let Some((count, after)) = take::<4>(rest) else { return false };
    rest = after;
    let count = i32::from_be_bytes(count);
    if i16::from_be_bytes(version) < 0 || count < 0 {
        return false;
    }
    for _ in 0..count {
        let Some((len, after)) = take::<2>(rest) else { return false };
        let Ok(len) = usize::try_from(i16::from_be_bytes(len)) else { return false };
        let Some((topic, after)) = after.split_at_checked(len) else { return false };
        let Ok(topic) = std::str::from_utf8(topic) else { return false };
        topics.insert(topic.to_owned());
        rest = after;
    }
    true
}

fn take<const N: usize>(bytes: &[u8]) -> Option<([u8; N], &[u8])> {
    let (head, rest) = bytes.split_at_checked(N)?;
    Some((head.try_into().ok()?, rest))
}
