//! The identity survives restarts, counts them, and is never guessed from a damaged file.

use std::fs;
use std::os::unix::fs::MetadataExt as _;

use log_types::{ClusterId, ShardId};

use super::{FILE, NodeIdentity, OTHER, cluster_id_text, shard_dir};

fn scratch(name: &str) -> std::path::PathBuf {
    let dir = std::env::temp_dir().join(format!("lumadb-identity-{name}-{}", std::process::id()));
    // Left over from a killed run with the same process id.
    let _ = fs::remove_dir_all(&dir);
    dir
}

/// `log/FORMAT.md` "node.luma".
#[test]
fn golden_bytes() {
    let dir = scratch("golden");
    let random = 0x0001_0203_0405_0607_0809_0a0b_0c0d_0e0f;
    NodeIdentity::start(&dir, 2, random).expect("made");
    let lines = |term, crc: &str| {
        format!(
            "lumadb-node 1\ncluster 000102030405060708090a0b0c0d0e0f\nshards 2\nterm {term}\ncrc {crc}\n"
        )
    };
    let read = |name| fs::read_to_string(dir.join(name)).expect("read");
    assert_eq!(read(FILE), lines(1, "2d054ff5"));
    for _ in 1..7 {
        NodeIdentity::start(&dir, 2, random).expect("read");
    }
    assert_eq!(read(FILE), lines(7, "7b5fe873"));
    assert_eq!(read(OTHER), lines(6, "6244d932"), "of the start before");
    for shard in ["shard-0", "shard-1"] {
        assert!(dir.join(shard).is_dir(), "{shard}");
    }
    fs::remove_dir_all(&dir).expect("removed");
}

#[test]
fn each_start_has_its_own_term() {
    let dir = scratch("term");
    let first = NodeIdentity::start(&dir, 2, 77).expect("made");
    assert_eq!((first.shards, first.term), (2, 1));
    let second = NodeIdentity::start(&dir, 8, 99).expect("read");
    assert_eq!(second, NodeIdentity { term: 2, ..first }, "cluster and shards stay");
    fs::remove_dir_all(&dir).expect("removed");
}

/// A node could not start on a full disk, not even to be read from: each start made a file. Now the two files of the first
/// start are overwritten in turn.
#[test]
fn a_start_takes_no_space_that_the_one_before_had_not() {
    let dir = scratch("space");
    let files = || {
        let inode = |name: &str| fs::metadata(dir.join(name)).expect("there").ino();
        [inode(FILE), inode(OTHER)]
    };
    NodeIdentity::start(&dir, 1, 7).expect("made");
    let [first, second] = files();
    for term in 2..12 {
        let started = NodeIdentity::start(&dir, 1, 7).expect("read");
        assert_eq!(started.term, term);
        let expected = if term % 2 == 0 { [second, first] } else { [first, second] };
        assert_eq!(files(), expected, "term {term}");
        assert_eq!(NodeIdentity::read(&dir).expect("whole"), Some(started));
    }
    fs::remove_dir_all(&dir).expect("removed");
}

/// Any byte, and any length: the file is never read as another identity, and the place is named.
#[test]
fn a_damaged_file_is_an_error_that_changes_nothing() {
    let dir = scratch("damage");
    let first = NodeIdentity::start(&dir, 1, 7).expect("made");
    let (path, other) = (dir.join(FILE), dir.join(OTHER));
    let (bytes, other_bytes) = (fs::read(&path).expect("read"), fs::read(&other).expect("read"));
    let check = |damaged: &[u8], at: usize| {
        fs::write(&path, damaged).expect("written");
        let error = NodeIdentity::start(&dir, 1, 99).expect_err("damaged");
        let finding = error.finding().expect("damage of bytes");
        assert!(finding.offset <= at as u64, "{error}, byte {at}");
        assert!(error.hint().is_some_and(|hint| hint.contains("cp ")), "{error}");
        assert_eq!(fs::read(&path).expect("read"), damaged, "{error}");
        assert_eq!(fs::read(&other).expect("read"), other_bytes, "{error}");
    };
    for at in 0..bytes.len() {
        for mask in [0x01, 0x80] {
            let mut damaged = bytes.clone();
            damaged[at] ^= mask;
            check(&damaged, at);
        }
        check(&bytes[..at], at);
    }
    fs::write(&path, &bytes).expect("written");
    assert_eq!(NodeIdentity::read(&dir).expect("whole"), Some(first));
    fs::remove_dir_all(&dir).expect("removed");
}

/// A start used to make up another identity beside the journals, to write it over the last copy of the true one, and only
/// then to notice that the journals have another cluster.
#[test]
fn a_missing_file_beside_journals_is_an_error_that_changes_nothing() {
    let dir = scratch("missing");
    NodeIdentity::start(&dir, 2, 7).expect("made");
    fs::write(shard_dir(&dir, ShardId(1)).join("segment"), b"frames").expect("written");
    fs::remove_file(dir.join(FILE)).expect("removed");
    let other = fs::read(dir.join(OTHER)).expect("read");
    let error = NodeIdentity::start(&dir, 2, 99).expect_err("shard 1 has a journal");
    assert!(error.to_string().ends_with("is missing, but shard-1 has a journal"), "{error}");
    assert!(error.hint().is_some_and(|hint| hint.contains("cp ")), "{error}");
    assert!(!dir.join(FILE).exists());
    assert_eq!(fs::read(dir.join(OTHER)).expect("read"), other);
    // A first start that was cut short before its identity was durable begins anew.
    fs::remove_file(shard_dir(&dir, ShardId(1)).join("segment")).expect("removed");
    assert_eq!(
        NodeIdentity::start(&dir, 2, 99).expect("made").cluster,
        ClusterId(99u128.to_be_bytes())
    );
    fs::remove_dir_all(&dir).expect("removed");
}

/// `node.luma.new` is one start behind: in the place of the other it must not lead to a leader epoch used before.
#[test]
fn the_identity_of_the_start_before_never_gives_a_term_twice() {
    let dir = scratch("before");
    let mut last = NodeIdentity::start(&dir, 1, 7).expect("made");
    for recover in [fs::rename as fn(_, _) -> _, |from, to| fs::copy(from, to).map(drop)] {
        for _ in 0..3 {
            recover(dir.join(OTHER), dir.join(FILE)).expect("put back");
            let next = NodeIdentity::start(&dir, 1, 8).expect("good");
            assert_eq!((next.cluster, next.shards), (last.cluster, last.shards));
            assert!(next.term > last.term, "{next:?} after {last:?}");
            let after = NodeIdentity::start(&dir, 1, 8).expect("good");
            assert_eq!(after.term, next.term + 1, "an ordinary start counts one");
            last = after;
        }
    }
    fs::remove_dir_all(&dir).expect("removed");
}

#[test]
fn the_cluster_id_is_22_characters_of_base64() {
    assert_eq!(cluster_id_text(ClusterId([0; 16])), "AAAAAAAAAAAAAAAAAAAAAA");
    assert_eq!(cluster_id_text(ClusterId([255; 16])), "_____________________w");
    let counting: [u8; 16] = std::array::from_fn(|index| u8::try_from(index).expect("below 16"));
    assert_eq!(cluster_id_text(ClusterId(counting)), "AAECAwQFBgcICQoLDA0ODw");
}
