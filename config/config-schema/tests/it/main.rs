//! The committed example file is the text that the key table generates.

use config_schema::{FileText, SECTIONS, Sources, default_toml, explain, find_key, load};

#[test]
fn the_example_file_has_not_drifted() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../lumadb.toml");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, default_toml()).expect("the example file is writable");
    }
    let committed = std::fs::read_to_string(&path).expect("config/lumadb.toml exists");
    assert_eq!(committed, default_toml(), "run UPDATE=1 cargo test -p config-schema");
    let sources = Sources { files: vec![FileText { path, text: committed }], ..Sources::default() };
    let defaults = load(&Sources::default()).expect("defaults are valid").config;
    assert_eq!(load(&sources).expect("the example file is valid").config, defaults);
}

#[test]
fn every_key_has_text_and_a_default_of_its_kind() {
    for key in SECTIONS.iter().flat_map(|section| section.keys) {
        assert!(key.doc.iter().all(|line| line.starts_with(' ')), "{}", key.path());
        assert_eq!(key.kind.check(key.default), Ok(()), "{}", key.path());
        assert!(explain(key).contains(&key.env()));
        assert!(find_key(&key.path()).is_some());
    }
    assert!(find_key("kafka").is_none());
}
