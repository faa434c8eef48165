//! Records of changes that the state has and the log has not, in order, without those that later ones supersede.
//!
//! A deleted topic leaves a record per group and partition, in one step and while the disk may be full: what a record
//! supersedes is found by its subject. As long as nothing stays behind there is no index: every commit goes through here.

use std::collections::BTreeMap;

use log_types::PartitionId;

use crate::group::record::{GroupRecord, OffsetCommitted};

/// A record's place: later ones are larger, and it stays when others go.
pub type Place = u64;

/// Records that wait to be logged.
#[derive(Clone, Debug, Default)]
pub struct Backlog {
    records: BTreeMap<Place, GroupRecord>,
    next: Place,
    /// The place of each subject's last record; `None` while the records came in one go.
    places: Option<BTreeMap<(String, Subject), Place>>,
}

/// What of a group a record is about; the next record about it supersedes it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Subject {
    /// All of it. The first of a group, so that a range of its subjects begins here.
    Existence,
    Metadata,
    Offset(String, PartitionId),
}

impl Backlog {
    /// Adds records, in place of what they supersede where others wait already; the place of the first one.
    pub fn add(&mut self, records: Vec<GroupRecord>) -> Place {
        let first = self.next;
        match self.records.is_empty() {
            true => self.places = None,
            false => self.make_index(),
        }
        for record in records {
            self.put(self.next, record);
            self.next += 1;
        }
        first
    }

    /// `record` was logged elsewhere: it was one of these, or came later.
    pub fn logged(&mut self, record: &GroupRecord) {
        if !self.records.is_empty() {
            self.make_index();
            self.supersede(record);
        }
    }

    /// The first record at or after this place.
    #[must_use]
    pub fn first_from(&self, from: Place) -> Option<(Place, &GroupRecord)> {
        self.records.range(from..).next().map(|(place, record)| (*place, record))
    }

    /// Takes out the record at this place.
    pub fn remove(&mut self, place: Place) -> Option<GroupRecord> {
        let record = self.records.remove(&place)?;
        if let Some(places) = &mut self.places {
            let subject = subject(&record);
            if places.get(&subject) == Some(&place) {
                places.remove(&subject);
            }
        }
        Some(record)
    }

    /// The records, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &GroupRecord> {
        self.records.values()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    fn make_index(&mut self) {
        if self.places.is_none() {
            self.places = Some(BTreeMap::new());
            for (place, record) in std::mem::take(&mut self.records) {
                self.put(place, record);
            }
        }
    }

    fn put(&mut self, place: Place, record: GroupRecord) {
        self.supersede(&record);
        if let Some(places) = &mut self.places {
            places.insert(subject(&record), place);
        }
        self.records.insert(place, record);
    }

    /// Takes out what nothing is left of once `record` is folded after it.
    fn supersede(&mut self, record: &GroupRecord) {
        let Some(places) = &mut self.places else { return };
        let (group_id, about) = subject(record);
        if about != Subject::Existence {
            if let Some(place) = places.remove(&(group_id, about)) {
                self.records.remove(&place);
            }
            return;
        }
        let from = (group_id, about);
        while let Some((key, place)) = places.range(&from..).next()
            && key.0 == from.0
        {
            let (key, place) = (key.clone(), *place);
            places.remove(&key);
            self.records.remove(&place);
        }
    }
}

impl PartialEq for Backlog {
    fn eq(&self, other: &Self) -> bool {
        self.records.values().eq(other.records.values())
    }
}

impl Eq for Backlog {}

fn subject(record: &GroupRecord) -> (String, Subject) {
    let about = match record {
        GroupRecord::Deleted { .. } => Subject::Existence,
        GroupRecord::Metadata { .. } => Subject::Metadata,
        GroupRecord::OffsetCommitted(OffsetCommitted { topic, partition, .. })
        | GroupRecord::OffsetDeleted { topic, partition, .. } => {
            Subject::Offset(topic.clone(), *partition)
        }
    };
    (record.group_id().to_owned(), about)
}
