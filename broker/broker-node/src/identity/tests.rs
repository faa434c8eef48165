//! The identity survives restarts, counts them, and is never guessed from a damaged file.

use std::fs;
use std::os::unix::fs::MetadataExt as _;

use log_types::ClusterId;

use super::{FILE, NodeIdentity, OTHER, cluster_id_text};

fn scratch(name: &str) -> std::path::PathBuf {
    let dir = std::env::temp_dir().join(format!("lumadb-identity-{name}-{}", std::process::id()));
    // Left over from a killed run with the same process id.
    let _ = fs::remove_dir_all(&dir);
    dir
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
        assert_eq!(NodeIdentity::read(&dir).expect("whole"), started);
    }
    fs::remove_dir_all(&dir).expect("removed");
}

#[test]
fn a_damaged_file_is_an_error() {
    let dir = scratch("damage");
    NodeIdentity::start(&dir, 1, 7).expect("made");
    let path = dir.join(FILE);
    let text = fs::read_to_string(&path).expect("read");
    fs::write(&path, text.replace("shards 1", "shards 3")).expect("written");
    let error = NodeIdentity::start(&dir, 1, 7).expect_err("damaged");
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidData);
    fs::remove_dir_all(&dir).expect("removed");
}

#[test]
fn the_cluster_id_is_22_characters_of_base64() {
    assert_eq!(cluster_id_text(ClusterId([0; 16])), "AAAAAAAAAAAAAAAAAAAAAA");
    assert_eq!(cluster_id_text(ClusterId([255; 16])), "_____________________w");
    let counting: [u8; 16] = std::array::from_fn(|index| u8::try_from(index).expect("below 16"));
    assert_eq!(cluster_id_text(ClusterId(counting)), "AAECAwQFBgcICQoLDA0ODw");
}
