//! Every verb, and every way to write one wrongly.

use super::*;

fn check(template: &str, expected: &str) {
    let record = OwnedRecord {
        offset: 7,
        timestamp_ms: 1234,
        key: Some(b"k\x00".to_vec()),
        value: Some("wört".as_bytes().to_vec()),
        headers: vec![(b"a".to_vec(), Some(b"1".to_vec())), (b"b".to_vec(), None)],
    };
    let template = Template::parse(template).expect("a good template");
    let mut out = Vec::new();
    template.render("orders", 3, &record, &mut out);
    assert_eq!(String::from_utf8_lossy(&out), expected);
}

#[test]
fn verbs_print_their_part() {
    check("%t/%p/%o %d\\n", "orders/3/7 1234\n");
    check("%k{hex}=%v", "6b00=wört");
    check("%x{v}", "77c3b67274");
    check("%v{len} %h 100%% ü\\t\\\\", "5 a=1,b= 100% ü\t\\");
    check("%T %K %V %H", "6 2 5 2");
    check("", "");
}

#[test]
fn wrong_templates_are_refused() {
    for (template, part) in [
        ("%", "lone %"),
        ("%q", "unknown verb %q"),
        ("%s", "kcat's %s is %v here"),
        ("%V{hex}", "takes no"),
        ("%x", "%x needs"),
        ("%k{", "not closed"),
        ("%k{b64}", "unknown form"),
        ("%t{hex}", "takes no"),
        ("\\z", "unknown escape"),
        ("\\", "unknown escape"),
    ] {
        let error = Template::parse(template).expect_err("a wrong template");
        assert!(error.contains(part), "{template}: {error}");
    }
}
