//! Which topic names are allowed (Kafka's `Topic.validate`).

/// Longest topic name; file names of `name-partition.suffix` stay within 255 bytes.
pub const TOPIC_NAME_CHARS_MAX: usize = 249;

/// Why `name` cannot be a topic's name, in Kafka's words; None when it can (INVALID_TOPIC_EXCEPTION, 17).
#[must_use]
pub fn topic_name_error(name: &str) -> Option<String> {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if name.is_empty() {
        Some("Topic name is invalid: the empty string is not allowed".into())
    } else if name == "." || name == ".." {
        Some(format!("Topic name is invalid: '{name}' is not allowed"))
    } else if name.len() > TOPIC_NAME_CHARS_MAX {
        let shown: String = name.chars().take(100).collect();
        Some(format!(
            "Topic name is invalid: the length of '{shown}…' is longer than the max allowed length {TOPIC_NAME_CHARS_MAX}"
        ))
    } else if !name.chars().all(legal) {
        Some(format!(
            "Topic name is invalid: '{name}' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'"
        ))
    } else {
        None
    }
}

/// Whether two different names fall together where metrics turn `.` into `_`; Kafka refuses to create the second.
#[must_use]
pub fn topic_names_collide(a: &str, b: &str) -> bool {
    let unify = |c: u8| if c == b'.' { b'_' } else { c };
    a != b && a.len() == b.len() && a.bytes().map(unify).eq(b.bytes().map(unify))
}
