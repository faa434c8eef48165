//! One run: a node, its clients, a nemesis, then peace, a final read and the verdict. All of it follows from the seed.
//!
//! ```text
//!  0 ──────── faults_ms ───────────► heal ─► producers and group settle ─► consumers stop ─► final read ─► verdict
//!     load + crashes, resets, full disk,        no faults, the node runs
//!     failed writes and syncs, clock jumps
//! ```
//!
//! Fault model: a crash happens between any two polls and is a power cut (each un-synced sector is kept or lost by
//! policy); at most one disk error is armed at a time and it ends the process; the network delays, splits and resets
//! but does not corrupt. A bit below the durable watermark rots during a power cut and is right again some time later: the
//! node refuses to start or refuses to serve that batch meanwhile, and has changed nothing. Absent: several nodes.
//!
//! When all is read, the node is ended and its disks are audited: every checksum, every index, every checkpoint's state.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::rc::Rc;
use std::time::Duration;

use broker_rt::Runtime;
use log_io::Random;

use crate::audit::audit;
use crate::check::{Counts, History};
use crate::churn::Churn;
use crate::consumer::{read_all, tail};
use crate::disk::{DiskFault, FailNth, Host};
use crate::group::Member;
use crate::node::SimNode;
use crate::operator::operate;
use crate::producer::{Producer, ProducerPlan};
use crate::random::{between, index, one_in};
use crate::rot::{Rot, forge_state};
use crate::rpc::Context;
use crate::runtime::{HostClock, SimRuntime};
use crate::session::Session;
use crate::world::{ProcessId, SCENARIO, Step, World};

/// How long after the heal everything may take, in virtual time.
const SETTLE_MS_MAX: u64 = 180_000;

/// The consumer group of every run.
const GROUP: &str = "readers";

/// A node that fails without a fault this often would do so for ever: the run ends.
const UNEXPLAINED_MAX: u32 = 3;

/// A defect put in on purpose, outside of the product: a named test proves that each is caught.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SeededBug {
    /// The disk reports synced writes and syncs as done before they are: acknowledgements come before durability.
    LyingDisk,
    /// Topics are acknowledged and shown to consumers without sync, which the checker does not know.
    AsyncTopic,
    /// A retry is new to the broker, as if it had forgotten the producer over a restart.
    ForgottenProducer,
    /// Compressed batches say that they are of another codec.
    WrongCodec,
    /// Records are deleted that nobody, as far as the checker knows, asked to delete.
    UnaskedDelete,
    /// A member reads and commits partitions that are not its own.
    GreedyMember,
    /// A reader with a fetch session tells the broker a position that is one too far.
    SkippingSession,
    /// A topic that was deleted is still there.
    KeptTopic,
    /// Where a bit rots, the disk forgets what is behind it and that it was ever durable.
    ForgetfulDisk,
    /// A bit rots, and nobody is told that reads may fail.
    SecretRot,
    /// The newest checkpoint has a wrong state under right checksums.
    ForgedState,
}

/// What a run does besides what its seed says.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Virtual milliseconds of load and faults.
    pub faults_ms: u64,
    pub bug: Option<SeededBug>,
    /// The only fault of the run, instead of the seed's.
    pub fail: Option<FailNth>,
}

impl Default for Options {
    fn default() -> Self {
        Self { faults_ms: 2_000, bug: None, fail: None }
    }
}

/// What a run gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    pub seed: u64,
    /// Equal for equal seeds and options.
    pub hash: u64,
    pub events: u64,
    pub polls: u64,
    /// Virtual time at the end.
    pub now_ns: u64,
    pub starts: u32,
    /// Failed writes and syncs.
    pub disk_errors: u64,
    pub counts: Counts,
    pub violations: Vec<String>,
    /// The last notable events, for the report of a failing seed.
    pub notes: Vec<String>,
}

struct Scenario {
    world: Rc<World>,
    node: Rc<SimNode>,
    history: Rc<History>,
    options: Options,
    partitions: i32,
    draining: Rc<Cell<bool>>,
    stopping: Rc<Cell<bool>>,
    /// Names of the clients at work.
    live: Rc<RefCell<BTreeSet<String>>>,
    clients: Cell<u8>,
    members: RefCell<Vec<(String, ProcessId)>>,
    node_polls: u64,
    next_fault: u64,
    /// Faults hit when the node was last started, to tell an honest failure from a bug.
    hits_at_start: u64,
    space_short: Rc<Cell<bool>>,
    restarting: Rc<Cell<bool>>,
    /// What is rotten at the moment, and until when.
    rot: Option<(Rot, u64)>,
    rotten: Rc<Cell<bool>>,
    /// Failures of the node without a fault.
    unexplained: u32,
}

/// Runs one seed.
#[must_use]
pub fn run(seed: u64, options: Options) -> Outcome {
    let world = World::new(seed);
    let mut scenario = Scenario::new(&world, options);
    scenario.start_clients();
    scenario.drive();
    let outcome = scenario.outcome();
    world.end();
    outcome
}

impl Scenario {
    fn new(world: &Rc<World>, options: Options) -> Self {
        let rng = &world.random.workload;
        let partitions = i32::try_from(between(rng, 1, 4)).expect("at most 4");
        // A disk that lies about one shard of several loses the catalog and not what it names: no sound disk does that.
        let lying = options.bug == Some(SeededBug::LyingDisk);
        let cores = if lying { 1 } else { [1, 1, 2, 3][index(rng, 4)] };
        let count = partitions.to_string();
        let durability = if options.bug == Some(SeededBug::AsyncTopic) { "async" } else { "fsync" };
        let compression = ["producer", "producer", "uncompressed", "lz4", "zstd"][index(rng, 5)];
        // Little, or without a limit; little, or more than the clocks are ever off.
        let bytes_max = if one_in(rng, 5) { "200000" } else { "-1" };
        let age_max_ms = if one_in(rng, 5) { "300" } else { "172800000" };
        let broker = [
            ("num.partitions", count.as_str()),
            ("group.initial.rebalance.delay.ms", "50"),
            ("luma.durability", durability),
            ("compression.type", compression),
            ("log.retention.ms", age_max_ms),
            ("log.retention.bytes", bytes_max),
        ];
        let node = SimNode::new(world, cores, &broker);
        if lying {
            node.host.lie();
        }
        // By the seed itself, so that the draws of the others stay what they are.
        if matches!(world.seed % 5, 1 | 2) {
            node.host.share_space();
        }
        if let Some(fail) = options.fail {
            node.host.fail_nth(fail);
        }
        let history: Rc<History> = Rc::default();
        if bytes_max != "-1" || age_max_ms == "300" {
            history.retention_deletes();
        }
        world.note(&format!("{cores} cores, {partitions} partitions"));
        node.start();
        Self {
            world: Rc::clone(world),
            node,
            history,
            options,
            partitions,
            draining: Rc::default(),
            stopping: Rc::default(),
            live: Rc::default(),
            clients: Cell::new(0),
            members: RefCell::default(),
            node_polls: 0,
            next_fault: match options.fail {
                Some(_) => u64::MAX,
                None => between(&world.random.faults, 100, 2_000),
            },
            hits_at_start: 0,
            space_short: Rc::default(),
            restarting: Rc::default(),
            rot: None,
            rotten: Rc::default(),
            unexplained: 0,
        }
    }

    /// Starts a client of the given name in a process of its own.
    fn client<F: Future<Output = ()> + 'static>(
        &self,
        name: &str,
        work: impl FnOnce(Context) -> F,
    ) -> ProcessId {
        let number = self.clients.get() + 1;
        self.clients.set(number);
        let process = self.world.new_process();
        let (host, clock) = (Host::new(&self.world), HostClock::new(&self.world));
        let ip = IpAddr::V4(Ipv4Addr::new(10, 0, 1, number));
        let seed = self.world.random.workload.next_u64();
        let context = Context {
            world: Rc::clone(&self.world),
            runtime: SimRuntime::new(&self.world, process, &host, &clock, ip, seed)
                as Rc<dyn Runtime>,
            history: Rc::clone(&self.history),
            node: Rc::clone(&self.node),
            name: Rc::from(name),
            partitions: self.partitions,
            draining: Rc::clone(&self.draining),
            stopping: Rc::clone(&self.stopping),
            rotten: Rc::clone(&self.rotten),
        };
        let (live, name) = (Rc::clone(&self.live), name.to_owned());
        live.borrow_mut().insert(name.clone());
        let work = work(context);
        self.world.spawn(process, "client", async move {
            work.await;
            live.borrow_mut().remove(&name);
        });
        process
    }

    /// Starts one more member of the group.
    fn member(&self) {
        let name = format!("member-{}", self.clients.get());
        let greedy = self.options.bug == Some(SeededBug::GreedyMember);
        let process = self.client(&name, |context| Member::new(context, GROUP, greedy).run());
        self.members.borrow_mut().push((name, process));
    }

    /// A member dies without a word; another one comes.
    fn replace_member(&self) {
        let rng = &self.world.random.faults;
        let mut members = self.members.borrow_mut();
        if members.is_empty() || self.clients.get() == u8::MAX {
            return;
        }
        let chosen = index(rng, members.len());
        let (name, process) = members.swap_remove(chosen);
        drop(members);
        self.world.note(&format!("{name} dies"));
        self.world.kill(process);
        self.live.borrow_mut().remove(&name);
        self.member();
    }

    fn start_clients(&self) {
        let rng = &self.world.random.workload;
        let idempotent = 1 + rng.below(2);
        let plain = rng.below(2);
        for number in 0..idempotent + plain {
            let plan = ProducerPlan {
                number: u32::try_from(number).expect("a few producers"),
                idempotent: number < idempotent,
                window: usize::try_from(between(rng, 1, 5)).expect("at most 5"),
                compressed: one_in(rng, 2),
                mislabelled: self.options.bug == Some(SeededBug::WrongCodec),
                forgotten_on_retry: self.options.bug == Some(SeededBug::ForgottenProducer),
            };
            self.client(&format!("producer-{number}"), |context| {
                Producer::new(context, plan).run()
            });
        }
        for number in 0..=rng.below(2) {
            let skipping = self.options.bug == Some(SeededBug::SkippingSession);
            let sessions = skipping || one_in(rng, 2);
            let session = if sessions { Session::new(skipping) } else { Session::none() };
            self.client(&format!("tail-{number}"), |context| tail(context, session));
        }
        for _ in 0..rng.below(4) {
            self.member();
        }
        let keeping = self.options.bug == Some(SeededBug::KeptTopic);
        if one_in(rng, 2) || keeping {
            self.client("churn", |context| Churn::new(context, keeping).run());
        }
        let unasked = self.options.bug == Some(SeededBug::UnaskedDelete);
        if one_in(rng, 2) || unasked {
            self.client("operator", |context| operate(context, unasked));
        }
    }

    /// Steps the world until the scenario is over.
    fn drive(&mut self) {
        let heal_ns = self.options.faults_ms * 1_000_000;
        let (mut healed, mut reading) = (false, false);
        loop {
            match self.world.step() {
                Step::Polled(process) => {
                    self.node_polls += u64::from(self.node.running() == Some(process));
                }
                Step::TimePassed => {}
                Step::Stalled => {
                    self.history.violation("V: nothing can make progress".to_owned());
                    return;
                }
            }
            self.end_failed_node();
            if self.rot.as_ref().is_some_and(|(_, until_ns)| self.world.now_ns() >= *until_ns) {
                self.mend();
            }
            if self.unexplained >= UNEXPLAINED_MAX {
                return;
            }
            if !healed && self.node_polls >= self.next_fault {
                self.fault();
            }
            if !healed && self.world.now_ns() >= heal_ns {
                healed = true;
                self.heal();
            }
            if healed && self.producers_done() && self.group_done() {
                self.stopping.set(true);
                if self.live.borrow().is_empty() {
                    if reading {
                        self.audit();
                        return;
                    }
                    reading = true;
                    if self.options.bug == Some(SeededBug::SecretRot) {
                        self.rot();
                    }
                    self.client("final-reader", read_all);
                }
            }
            if self.world.now_ns() > heal_ns + SETTLE_MS_MAX * 1_000_000 {
                self.report_hang();
                return;
            }
        }
    }

    fn producers_done(&self) -> bool {
        !self.live.borrow().iter().any(|name| name.starts_with("producer"))
    }

    fn group_done(&self) -> bool {
        // A run that is broken already need not wait for what cannot come.
        self.members.borrow().is_empty()
            || self.history.caught_up(GROUP)
            || !self.history.violations().is_empty()
    }

    fn report_hang(&self) {
        let live = self.live.borrow().iter().cloned().collect::<Vec<_>>().join(", ");
        let tasks = self.node.running().map(|process| self.world.task_names(process));
        self.history.violation(format!(
            "V: not finished {SETTLE_MS_MAX} ms after the last fault: {live}; node tasks: {tasks:?}"
        ));
    }

    /// The process ends when the node says that it must: nothing it answers after that counts.
    fn end_failed_node(&mut self) {
        let Some(failure) = self.node.failure() else { return };
        if self.rot.is_some() {
            if !failure.contains("corrupt") {
                self.history.violation(format!("F2: rot is reported as: {failure}"));
            }
            self.mend();
            return;
        }
        if self.node.host.faults_hit() == self.hits_at_start && !self.space_short.get() {
            self.unexplained += 1;
            self.history.violation(format!("F: the node failed without a fault: {failure}"));
        }
        self.crash();
    }

    fn crash(&mut self) {
        self.node.crash();
        let down_ms = match self.options.fail {
            Some(_) => 5,
            None => between(&self.world.random.faults, 0, 300),
        };
        self.restart_in(down_ms);
    }

    fn restart_in(&mut self, down_ms: u64) {
        if self.restarting.replace(true) {
            return;
        }
        self.hits_at_start = self.node.host.faults_hit();
        let (node, restarting) = (Rc::clone(&self.node), Rc::clone(&self.restarting));
        let down = self.world.sleep(Duration::from_millis(down_ms));
        self.world.spawn(SCENARIO, "restart", async move {
            down.await;
            restarting.set(false);
            node.start();
        });
    }

    /// One fault, drawn from its own stream.
    fn fault(&mut self) {
        let world = Rc::clone(&self.world);
        let rng = &world.random.faults;
        self.next_fault = self.node_polls + between(rng, 50, 2_500);
        if self.node.running().is_none() || self.rot.is_some() {
            return;
        }
        match rng.below(17) {
            15..=16 => self.rot(),
            14 => self.replace_member(),
            12..=13 => {
                // At most a day off in either direction, and right again some time.
                let offset_ms = [0, 86_400_000, -86_400_000, 60_000, -60_000][index(rng, 5)];
                world.note(&format!("wall clock off by {offset_ms} ms"));
                self.node.clock.set_offset_ms(offset_ms);
            }
            0..=4 => self.crash(),
            5..=6 => {
                world.note("connection reset");
                world.network.reset_one(&world);
            }
            7..=8 => self.fill_disk(),
            9 => self.node.host.arm(DiskFault::WriteError),
            10 => self.node.host.arm(DiskFault::SyncError),
            _ => self.node.host.arm(DiskFault::TornWrite),
        }
    }

    /// A bit below the durable watermark rots while the power is off.
    fn rot(&mut self) {
        self.node.crash();
        let rng = &self.world.random.faults;
        let disks = self.node.host.disks();
        let secret = self.options.bug == Some(SeededBug::SecretRot);
        let rot = if secret { Rot::oldest_batch(&disks) } else { Rot::pick(&disks, rng) };
        if let Some(rot) = rot {
            self.world.note(&format!("rot: {rot:?}"));
            rot.apply(&disks);
            if self.options.bug == Some(SeededBug::ForgetfulDisk) {
                rot.forget(&disks);
            }
            self.rotten.set(!secret);
            let rotten_ms = if secret { SETTLE_MS_MAX } else { between(rng, 50, 400) };
            let until_ns = self.world.now_ns() + rotten_ms * 1_000_000;
            self.rot = Some((rot, until_ns));
        }
        self.restart_in(0);
    }

    /// The bit is right again, as a copy would have it.
    fn mend(&mut self) {
        let Some((rot, _)) = self.rot.take() else { return };
        self.node.crash();
        rot.mend(&self.node.host.disks());
        self.world.note("rot is mended");
        // An answer from before may still be on its way.
        let (rotten, grace) = (Rc::clone(&self.rotten), self.world.sleep(Duration::from_secs(1)));
        self.world.spawn(SCENARIO, "rot-grace", async move {
            grace.await;
            rotten.set(false);
        });
        self.restart_in(0);
    }

    /// The end: what is on the disks.
    fn audit(&self) {
        self.node.crash();
        let disks = self.node.host.disks();
        if self.options.bug == Some(SeededBug::ForgedState) {
            forge_state(&disks);
        }
        audit(&disks, &self.history);
    }

    /// No space for a while.
    fn fill_disk(&self) {
        let rng = &self.world.random.faults;
        let (spare, short_ms) = (rng.below(600 << 10), between(rng, 10, 400));
        self.world.note(&format!("disk full but for {spare} bytes, for {short_ms} ms"));
        self.node.host.limit_space(Some(spare));
        self.space_short.set(true);
        let (node, space_short) = (Rc::clone(&self.node), Rc::clone(&self.space_short));
        let wait = self.world.sleep(Duration::from_millis(short_ms));
        self.world.spawn(SCENARIO, "free-space", async move {
            wait.await;
            node.world_note("disk has space again");
            node.host.limit_space(None);
            space_short.set(false);
        });
    }

    fn heal(&mut self) {
        self.world.note("heal");
        self.mend();
        self.draining.set(true);
        self.node.host.disarm();
        // A broker an hour or more behind its clients refuses their timestamps, as Kafka does.
        self.node.clock.set_offset_ms(0);
        self.space_short.set(false);
        self.node.host.limit_space(None);
        if self.node.running().is_none() {
            self.restart_in(0);
        }
    }

    fn outcome(&self) -> Outcome {
        Outcome {
            seed: self.world.seed,
            hash: self.world.trace.hash(),
            events: self.world.trace.events(),
            polls: self.world.polls(),
            now_ns: self.world.now_ns(),
            starts: self.node.starts(),
            disk_errors: self.node.host.faults_hit(),
            counts: self.history.counts(),
            violations: self.history.violations(),
            notes: self.world.trace.notes(),
        }
    }
}
