//! The pipeline is bounded in count and bytes, keeps order, and lets go of both sides when it closes.

use futures_util::FutureExt;

use super::Pipeline;

#[test]
fn items_come_out_in_order() {
    let pipeline = Pipeline::new(4, 100);
    for item in 0..4 {
        pipeline.push(item, 1);
    }
    for item in 0..4 {
        assert_eq!(pipeline.pop().now_or_never(), Some(Some((item, 1))));
    }
    assert_eq!(pipeline.pop().now_or_never(), None, "the writer waits");
}

#[test]
fn the_reader_waits_for_count_and_for_bytes() {
    let pipeline = Pipeline::new(2, 100);
    pipeline.push('a', 10);
    assert_eq!(pipeline.room().now_or_never(), Some(true));
    pipeline.push('b', 10);
    assert_eq!(pipeline.room().now_or_never(), None, "two requests are the limit");
    let (_, bytes) = pipeline.pop().now_or_never().flatten().expect("there");
    pipeline.done(bytes);
    assert_eq!(pipeline.room().now_or_never(), Some(true));
    pipeline.push('c', 500);
    let (_, bytes) = pipeline.pop().now_or_never().flatten().expect("there");
    pipeline.done(bytes);
    assert_eq!(pipeline.room().now_or_never(), None, "one large request fills the budget alone");
}

#[test]
fn closing_ends_both_sides_after_what_is_left() {
    let pipeline = Pipeline::new(2, 100);
    pipeline.push('a', 1);
    pipeline.close();
    assert_eq!(pipeline.room().now_or_never(), Some(false));
    assert_eq!(pipeline.pop().now_or_never(), Some(Some(('a', 1))));
    assert_eq!(pipeline.pop().now_or_never(), Some(None));
}

#[test]
fn an_answer_counts_until_it_is_written() {
    let pipeline = Pipeline::new(4, 100);
    pipeline.push('a', 10);
    pipeline.push('b', 10);
    pipeline.grow(80);
    assert_eq!(
        pipeline.room().now_or_never(),
        None,
        "an answer that nobody takes stops the reader"
    );
    let (_, bytes) = pipeline.pop().now_or_never().flatten().expect("there");
    assert_eq!(pipeline.room().now_or_never(), None, "it is still being written");
    pipeline.done(bytes + 80);
    assert_eq!(pipeline.room().now_or_never(), Some(true));
    let (_, bytes) = pipeline.pop().now_or_never().flatten().expect("there");
    pipeline.done(bytes);
    assert!(pipeline.is_idle());
}
