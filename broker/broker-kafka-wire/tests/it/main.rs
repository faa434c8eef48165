//! Integration tests of the Kafka wire, through its public surface: the own codec against the `kafka-protocol` crate,
//! hostile input, and what hostile input may allocate.

mod allocation;
mod differential;
mod golden;
mod hostile;
mod paced;
mod samples;
