//! Fits what the process keeps open into what the system lets it open.
//!
//! A process that runs out of descriptors can neither roll its log nor sync a directory, so clients must not be able to
//! take them all. The soft limit is raised to the hard one, and then shared out:
//!
//! ```text
//!  limit = own (OWN + OWN_PER_JOURNAL × journals) + segment files (an eighth, at most SEGMENT_FILES_MAX) + connections
//!  connections = PostgreSQL and HTTP (as configured, at most a quarter each) + Kafka (as configured, at most the rest)
//! ```
//!
//! PostgreSQL's part holds the connections that have not said yet who they are, twice: one that is let in evicts another.

use client_cli::{Exit, Failure};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Listeners, executors, rings, logs, and what is opened for a moment.
const OWN: usize = 64;
/// A journal's current segment, its spare ones and its checkpoints.
const OWN_PER_JOURNAL: usize = 32;
/// Files of sealed segments, all journals together.
const SEGMENT_FILES_MAX: usize = 512;
/// With fewer connections than this nobody is served.
const CONNECTIONS_MIN: usize = 32;
/// PostgreSQL connections that start up.
const PG_STARTUPS_MAX: usize = 256;
/// What an operator is told to allow.
const ADVISED: usize = 65_536;

/// Connections per listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Connections {
    pub(crate) kafka: usize,
    pub(crate) pg: usize,
    pub(crate) http: usize,
}

/// Who may keep how many descriptors.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Shares {
    pub(crate) connections: Connections,
    pub(crate) pg_startups: usize,
    /// Files of sealed segments.
    pub(crate) segment_files: usize,
}

/// Raises the limit of open files as far as the system allows it; returns it.
pub(crate) fn raise() -> usize {
    let limit = getrlimit(Resource::Nofile);
    // An unlimited one is `None`. What is refused leaves the limit as it is, which is asked for below.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    let limit = getrlimit(Resource::Nofile).current;
    limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX)
}

/// Shares out `limit` descriptors. A journal is that of a shard: one per core, or more where the data directory has more.
///
/// # Errors
/// `Usage` when too few are left to serve anybody.
pub(crate) fn share(limit: usize, journals: usize, wanted: Connections) -> Result<Shares, Failure> {
    let segment_files = (limit / 8).clamp(journals, SEGMENT_FILES_MAX.max(journals));
    let own = OWN + OWN_PER_JOURNAL * journals + segment_files;
    let rest = limit.saturating_sub(own);
    if rest < CONNECTIONS_MIN {
        let text = format!(
            "this process may open {limit} files, and {} are needed for {journals} journals",
            own + CONNECTIONS_MIN
        );
        return Err(
            Failure::new(Exit::Usage, text).hint(format!("raise the limit: ulimit -n {ADVISED}"))
        );
    }
    let pg_sockets = wanted.pg.saturating_add(2 * PG_STARTUPS_MAX).min(rest / 4);
    let pg_startups = (pg_sockets / 4).min(PG_STARTUPS_MAX);
    let pg = wanted.pg.min(pg_sockets - 2 * pg_startups);
    let http = wanted.http.min(rest / 4);
    let kafka = wanted.kafka.min(rest - pg_sockets - http);
    Ok(Shares { connections: Connections { kafka, pg, http }, pg_startups, segment_files })
}

/// What a person should know: the limits that are lower than configured.
pub(crate) fn note(limit: usize, wanted: Connections, shares: &Shares) -> Option<String> {
    let got = shares.connections;
    let lower = [
        ("kafka.connections_max", wanted.kafka, got.kafka),
        ("pg.connections_max", wanted.pg, got.pg),
        ("http.connections_max", wanted.http, got.http),
    ];
    let lower = lower.into_iter().filter(|(_, wanted, got)| got < wanted);
    let lower: Vec<_> =
        lower.map(|(key, wanted, got)| format!("{key} is {got} instead of {wanted}")).collect();
    (!lower.is_empty()).then(|| {
        format!(
            "this process may open {limit} files: {}; ulimit -n {ADVISED} allows more",
            lower.join(", ")
        )
    })
}

#[cfg(test)]
mod tests {
    use super::{Connections, Shares, note, share};

    const WANTED: Connections = Connections { kafka: 10_000, pg: 1000, http: 256 };

    #[test]
    fn a_generous_limit_changes_nothing() {
        for limit in [65_536, usize::MAX] {
            let shares = share(limit, 4, WANTED).unwrap();
            let expected = Shares { connections: WANTED, pg_startups: 256, segment_files: 512 };
            assert_eq!(shares, expected);
            assert_eq!(note(limit, WANTED, &shares), None);
        }
    }

    #[test]
    fn a_tight_limit_is_never_exceeded() {
        for limit in 0..3000 {
            for cores in [1, 2, 16, 64] {
                let Ok(shares) = share(limit, cores, WANTED) else { continue };
                let Connections { kafka, pg, http } = shares.connections;
                assert!(kafka >= 16 && pg >= 4 && http >= 8, "{limit} {cores} {shares:?}");
                assert!(shares.pg_startups >= 2, "{limit} {cores} {shares:?}");
                let connections = kafka + pg + 2 * shares.pg_startups + http;
                let all = connections + shares.segment_files + 64 + 32 * cores;
                assert!(all <= limit, "{limit} {cores} {shares:?}");
            }
        }
    }

    #[test]
    fn the_usual_limit_without_a_higher_hard_one() {
        let shares = share(1024, 2, WANTED).unwrap();
        let connections = Connections { kafka: 384, pg: 96, http: 192 };
        assert_eq!(shares, Shares { connections, pg_startups: 48, segment_files: 128 });
        assert_eq!(
            note(1024, WANTED, &shares).unwrap(),
            "this process may open 1024 files: kafka.connections_max is 384 instead of 10000, pg.connections_max is 96 \
             instead of 1000, http.connections_max is 192 instead of 256; ulimit -n 65536 allows more"
        );
    }

    #[test]
    fn too_few_are_refused_with_the_number_that_is_needed() {
        let error = share(160, 2, WANTED).unwrap_err();
        assert!(error.message.contains("may open 160 files, and 180 are needed"), "{error:?}");
        assert!(share(184, 2, WANTED).is_ok());
    }
}
