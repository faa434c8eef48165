//! The operations of a session, one file per conversation.

pub(crate) mod copy;
pub(crate) mod extended;
pub(crate) mod rows;
mod simple;
pub(crate) mod startup;
