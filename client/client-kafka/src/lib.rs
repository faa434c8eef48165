//! The Kafka client.
