//! Foreign clients, crashes under their load, and librdkafka's own suite, against a `lumadb` process.

#![expect(
    clippy::unwrap_used,
    reason = "a test may fail where it stands; helpers of tests are tests"
)]

mod clients;
mod crash;
mod librdkafka;
