//! G2 and G3: who owns what in which generation, and that a generation is over once the next one has begun.

use std::collections::BTreeMap;

use super::History;

#[derive(Default)]
pub(super) struct Generations {
    /// Highest generation of which a member has its assignment.
    begun: i32,
    /// Owner by generation and partition.
    owners: BTreeMap<(i32, i32), String>,
}

impl History {
    /// A member has its assignment.
    pub(crate) fn assigned(&self, group: &str, generation: i32, member: &str, partitions: &[i32]) {
        let mut state = self.state.borrow_mut();
        let mut twice = Vec::new();
        let known = state.groups.entry(group.to_owned()).or_default();
        known.begun = known.begun.max(generation);
        for partition in partitions {
            let owner = known.owners.entry((generation, *partition));
            let owner = owner.or_insert_with(|| member.to_owned());
            if owner != member {
                twice.push(format!(
                    "G2: group {group} generation {generation}: partition {partition} belongs to {owner} and to {member}"
                ));
            }
        }
        for text in twice {
            state.violation(text);
        }
    }

    /// The generation that has begun by now: what is sent later for an earlier one must be refused.
    pub(crate) fn generation_floor(&self, group: &str) -> i32 {
        self.state.borrow().groups.get(group).map_or(0, |known| known.begun)
    }

    /// A request of a member was accepted; `floor` was taken when it was sent.
    pub(crate) fn accepted(&self, group: &str, generation: i32, floor: i32, what: &str) {
        if generation < floor {
            self.violation(format!(
                "G3: group {group}: {what} of generation {generation} was accepted after {floor} had begun"
            ));
        }
    }
}
