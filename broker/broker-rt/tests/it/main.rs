//! One suite for every back end: each test runs on epoll, and on io_uring where the machine allows it.

mod files;
mod harness;
mod refused;
mod sockets;
mod tasks;
