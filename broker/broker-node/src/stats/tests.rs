//! How often something is logged.

use super::*;

#[test]
fn a_line_is_due_at_once_and_then_once_in_a_while() {
    let rarely = Rarely::default();
    assert_eq!(rarely.due(5), Some(1));
    for _ in 0..1000 {
        assert_eq!(rarely.due(Rarely::PAUSE_NS + 4), None);
    }
    assert_eq!(rarely.due(Rarely::PAUSE_NS + 5), Some(1001));
    assert_eq!(rarely.due(Rarely::PAUSE_NS + 6), None);
}
