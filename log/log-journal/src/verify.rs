//! Offline check of everything a journal has on disk.

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub file: String,
    /// Byte offset in the file.
    pub offset: u64,
    pub what: &'static str,
    pub expected: u64,
    pub found: u64,
}

/// What a verification saw.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VerifyReport {
    pub segments: u64,
    pub frames: u64,
    pub entries: u64,
    pub batches: u64,
    pub bytes: u64,
    pub footers: u64,
    pub checkpoints: u64,
    pub findings: Vec<Finding>,
}
