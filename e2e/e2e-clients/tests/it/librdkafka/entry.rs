//! A line of `e2e/librdkafka/allow.txt`: which test of the suite, and how it is run.
//!
//! ```text
//!  0045/do_test_regex:@noautocreate full slow
//!  └┬─┘ └─────┬──────┘ └────┬─────┘ └─┬┘ └─┬┘
//! number   sub-tests     scenario  not in  started first, since it takes
//!          with this               quick   longer than SLOW_FROM
//!          in their name           mode
//! ```
//!
//! `patient`: it counts on Kafka's default delay before the first rebalance of a group, within which its consumers join.
//!
//! The name of a test is all but the marks behind the first space.

use crate::lists;
use std::time::Duration;

/// A test that takes longer is marked `slow`: those start first, so that none of them is the last to end.
pub(super) const SLOW_FROM: Duration = Duration::from_secs(6);

/// The scenario of the suite whose server makes no topic by itself.
pub(super) const NO_AUTO_CREATE: &str = "noautocreate";

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) full: bool,
    pub(super) slow: bool,
    pub(super) patient: bool,
}

impl Entry {
    pub(super) fn parse(line: &str) -> Self {
        let (name, marks) = line.split_once(' ').unwrap_or((line, ""));
        let (mut full, mut slow, mut patient) = (false, false, false);
        for mark in marks.split_whitespace() {
            match mark {
                "full" => full = true,
                "slow" => slow = true,
                "patient" => patient = true,
                _ => panic!("{line:?}: {mark:?} is no mark"),
            }
        }
        let entry = Self { name: name.to_owned(), full, slow, patient };
        assert!(["default", NO_AUTO_CREATE].contains(&entry.scenario()), "{line:?}: no scenario");
        entry
    }

    pub(super) fn line(&self) -> String {
        let marks = [(self.full, " full"), (self.slow, " slow"), (self.patient, " patient")];
        let set = marks.into_iter().filter(|(is_set, _)| *is_set).map(|(_, mark)| mark);
        self.name.clone() + &set.collect::<String>()
    }

    /// The four digits that the suite's runner chooses by.
    pub(super) fn number(&self) -> &str {
        self.name.get(..4).unwrap_or(&self.name)
    }

    /// What the names of the chosen sub-tests contain.
    pub(super) fn part(&self) -> Option<&str> {
        let whole = self.name.split('@').next()?;
        whole.split_once('/').map(|(_, part)| part)
    }

    pub(super) fn scenario(&self) -> &str {
        self.name.split_once('@').map_or("default", |(_, scenario)| scenario)
    }
}

/// The entries of allow.txt, in its order.
pub(super) fn allowed(list: &str) -> Vec<Entry> {
    lists::entries(list).iter().map(|line| Entry::parse(line)).collect()
}

#[test]
fn a_line_is_what_it_was_read_from() {
    for line in ["0001", "0033 slow", "0082 full", "0102 full slow patient"] {
        assert_eq!(Entry::parse(line).line(), line);
    }
    let entry = Entry::parse("0045/do_test_regex:@noautocreate full");
    assert_eq!(entry.number(), "0045");
    assert_eq!(entry.part(), Some("do_test_regex:"));
    assert_eq!(entry.scenario(), NO_AUTO_CREATE);
    assert_eq!(Entry::parse("0001").scenario(), "default");
}
