//! Random joins, leaves, heartbeats, pauses and restarts: what a well-behaved member may never see.

use super::harness::World;
use crate::group::GroupConfig;

/// xorshift: the test's own randomness, the same at each run.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

/// docs/kafka-semantics.md, failure 9: members that join, sync and heartbeat in time are never told UNKNOWN_MEMBER_ID, whatever
/// others do; and once all is quiet, the group is stable with exactly one generation.
#[test]
fn concurrent_rebalances_never_answer_unknown_member_to_live_members() {
    for seed in 1..=30u64 {
        let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let mut clients = Clients::new();
        for _ in 0..400 {
            match random.below(10) {
                0 => clients.start(),
                1 => {
                    let index = random.below(8);
                    clients.stop(index);
                }
                _ => clients.pass(200 + random.below(800)),
            }
        }
        for _ in 0..200 {
            clients.pass(1000);
        }
        clients.check_quiet(seed);
    }
}

#[derive(Clone, Debug, PartialEq)]
enum Phase {
    Joining,
    Syncing,
    Member,
}

#[derive(Clone, Debug)]
struct Client {
    name: String,
    id: String,
    generation: i32,
    phase: Phase,
}

struct Clients {
    world: World,
    clients: Vec<Client>,
    started: usize,
}

impl Clients {
    fn new() -> Self {
        Self { world: World::new(GroupConfig::default()), clients: Vec::new(), started: 0 }
    }

    fn start(&mut self) {
        if self.clients.len() >= 8 {
            return;
        }
        self.started += 1;
        let name = format!("c{}", self.started);
        let text = self.world.run(&format!("join {name} v4"));
        let id = text.trim().rsplit(' ').next().unwrap().to_owned();
        assert!(text.contains("MemberIdRequired"), "{text}");
        self.clients.push(Client {
            name: name.clone(),
            id: id.clone(),
            generation: -1,
            phase: Phase::Joining,
        });
        let text = self.world.run(&format!("join {name} id={id} v4"));
        self.read(&text);
    }

    fn stop(&mut self, index: u64) {
        let index = usize::try_from(index).unwrap();
        if index < self.clients.len() && self.clients[index].phase != Phase::Joining {
            let client = self.clients.remove(index);
            let text = self.world.run(&format!("leave {}", client.id));
            assert!(text.contains("leave: ok"), "{text}");
            self.read(&text);
        }
    }

    /// Time passes and every member sends its heartbeat.
    fn pass(&mut self, ms: u64) {
        let at = self.world.now_ms + i64::try_from(ms).unwrap();
        let text = self.world.run(&format!("at {at}"));
        self.read(&text);
        for client in self.clients.clone() {
            if client.phase == Phase::Joining {
                continue;
            }
            let text =
                self.world.run(&format!("heartbeat {} gen={}", client.id, client.generation));
            assert!(!text.contains("UnknownMemberId"), "{client:?}");
            // Answered meanwhile by another client's request: this client's view is newer than its heartbeat.
            let current = self.clients.iter().find(|other| other.name == client.name).cloned();
            let moved = current.is_none_or(|current| current.generation != client.generation);
            if !moved && text != "ok\n" {
                self.rejoin(&client);
            }
        }
    }

    fn rejoin(&mut self, client: &Client) {
        let index = self.clients.iter().position(|other| other.name == client.name).unwrap();
        if self.clients[index].phase == Phase::Joining {
            return;
        }
        self.clients[index].phase = Phase::Joining;
        let text = self.world.run(&format!("join {} id={} v4", client.name, client.id));
        self.read(&text);
    }

    /// Lets every client act on the replies in `text`, until no more come.
    fn read(&mut self, text: &str) {
        let mut texts = vec![text.to_owned()];
        while let Some(text) = texts.pop() {
            for line in text.lines() {
                if let Some(command) = self.react(line) {
                    texts.insert(0, self.world.run(&command));
                }
            }
        }
    }

    fn react(&mut self, line: &str) -> Option<String> {
        let (label, body) = line.split_once(": ")?;
        let (kind, name) = label.split_once(' ')?;
        let by_name = |client: &&mut Client| client.name == name || client.id == name;
        let client = self.clients.iter_mut().find(by_name)?;
        assert!(!body.contains("UnknownMemberId"), "{line}");
        match kind {
            "join" if body.contains(" gen ") => {
                let words: Vec<&str> = body.split(' ').collect();
                client.generation = words[2].parse().unwrap();
                client.phase = Phase::Syncing;
                let assign = words[6..].iter().map(|word| word.trim_matches(['[', ']']));
                let assign: Vec<String> = assign.map(|id| format!("{id}:p-{id}")).collect();
                let (id, generation) = (&client.id, client.generation);
                Some(format!("sync {id} gen={generation} assign={}", assign.join(",")))
            }
            "sync" if body.starts_with('"') => {
                client.phase = Phase::Member;
                None
            }
            "sync" if body == "RebalanceInProgress" => {
                client.phase = Phase::Joining;
                Some(format!("join {} id={} v4", client.name, client.id))
            }
            _ => None,
        }
    }

    fn check_quiet(&mut self, seed: u64) {
        let description = self.world.run("describe");
        if self.clients.is_empty() {
            assert!(description.starts_with("Empty"), "seed {seed}: {description}");
            return;
        }
        assert!(description.starts_with("Stable"), "seed {seed}: {description}");
        assert_eq!(description.lines().count(), self.clients.len() + 1, "seed {seed}");
        for client in &self.clients {
            assert_eq!(client.phase, Phase::Member, "seed {seed}: {client:?}");
            let own = format!("{} \"p-{}\"", client.id, client.id);
            assert!(description.contains(&own), "seed {seed}: {description}");
        }
        assert!(self.world.waiting.is_empty(), "seed {seed}: {:?}", self.world.waiting);
        self.world.restart();
    }
}

/// A group of thousands rebalances in one step without quadratic work.
#[test]
fn large_groups_rebalance() {
    let mut world = World::new(GroupConfig::default());
    for index in 0..3000 {
        world.run(&format!("join m{index} protocols=range,sticky rebalance=3000"));
    }
    let text = world.run("at 3000");
    assert_eq!(text.matches(" gen 1 range ").count(), 3000);
}
