//! A lost deletion explains one topic that is gone, and nothing once its process has ended.

use super::LostDeletions;

#[test]
fn each_explains_one_topic_that_is_gone() {
    let mut lost = LostDeletions::default();
    assert!(!lost.take_effect(1), "nothing was lost");
    lost.add(1);
    lost.add(1);
    assert!(lost.take_effect(1));
    assert!(lost.take_effect(1));
    assert!(!lost.take_effect(1), "both have done their work");
}

#[test]
fn one_ends_with_the_process_it_was_sent_to() {
    let mut lost = LostDeletions::default();
    lost.add(1);
    assert!(!lost.take_effect(2), "it was never read, or its topic was gone before");
    lost.add(2);
    assert!(!lost.take_effect(3));
    lost.add(3);
    assert!(lost.take_effect(3));
}
