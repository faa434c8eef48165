//! What a run leaves on the disks, checked as `lumadb verify` does: every checksum, every index (F1), and that the state in
//! each checkpoint is the fold of the journal up to it (M1).

use std::rc::Rc;

use log_io::Disk;
use log_testkit::{Executor, SimDisk};

use crate::check::History;
use crate::node::CLUSTER;

/// Checks the disks of a node that does not run, in the order of its shards.
pub(crate) fn audit(disks: &[SimDisk], history: &History) {
    let disks: Vec<Rc<dyn Disk>> =
        disks.iter().map(|disk| Rc::new(disk.clone()) as Rc<dyn Disk>).collect();
    let verified = Executor::new(1).block_on(broker_node::verify_disks(&disks, CLUSTER));
    match verified {
        None => history.violation("V: verify hangs".to_owned()),
        Some(Err(error)) => history.violation(format!("F1: verify ends with: {error}")),
        Some(Ok(reports)) => {
            for report in &reports {
                history.count(|counts| counts.states_proven += report.states_proven);
                for finding in &report.findings {
                    let state = finding.what.contains("against the fold");
                    let rule = if state { "M1" } else { "F1" };
                    history.violation(format!("{rule}: verify finds {finding:?}"));
                }
            }
        }
    }
}
