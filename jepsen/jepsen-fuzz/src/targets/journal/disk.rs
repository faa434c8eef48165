//! A disk in memory whose every operation completes at its first poll: the fastest disk there is.
//!
//! Reads are slices of a file's bytes; a write replaces the whole file. Deliberately absent: un-synced state, faults,
//! latency (those are `log-testkit`'s).

use std::any::Any;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::future::ready;
use std::io;
use std::rc::Rc;

use bytes::Bytes;
use log_io::{Block, BlockMut, Disk, Durability, File, IoMemory, LocalFuture};

type Content = Rc<RefCell<Bytes>>;

/// One directory; clones share it.
#[derive(Clone, Default)]
pub(super) struct MemoryDisk {
    files: Rc<RefCell<BTreeMap<String, Content>>>,
}

impl MemoryDisk {
    pub(super) fn new(files: BTreeMap<String, Bytes>) -> Self {
        let files = files.into_iter().map(|(name, bytes)| (name, Rc::new(RefCell::new(bytes))));
        Self { files: Rc::new(RefCell::new(files.collect())) }
    }

    pub(super) fn files(&self) -> BTreeMap<String, Bytes> {
        let files = self.files.borrow();
        files.iter().map(|(name, content)| (name.clone(), content.borrow().clone())).collect()
    }
}

fn not_found() -> io::Error {
    io::Error::from(io::ErrorKind::NotFound)
}

fn done<T: 'static>(value: io::Result<T>) -> LocalFuture<'static, io::Result<T>> {
    Box::pin(ready(value))
}

struct Memory(Vec<u8>);

impl IoMemory for Memory {
    fn bytes(&self) -> &[u8] {
        &self.0
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl Disk for MemoryDisk {
    fn alloc(&self, len: usize) -> BlockMut {
        Box::new(Memory(vec![0; len]))
    }

    fn open(&self, name: &str) -> LocalFuture<'_, io::Result<Rc<dyn File>>> {
        let found = self.files.borrow().get(name).cloned();
        let file = found.map(|content| Rc::new(MemoryFile(content)) as Rc<dyn File>);
        done(file.ok_or_else(not_found))
    }

    fn create(&self, name: &str) -> LocalFuture<'_, io::Result<Rc<dyn File>>> {
        let content = Content::default();
        let before = self.files.borrow_mut().insert(name.to_owned(), Rc::clone(&content));
        let file = Rc::new(MemoryFile(content)) as Rc<dyn File>;
        match before {
            None => done(Ok(file)),
            Some(_) => done(Err(io::Error::from(io::ErrorKind::AlreadyExists))),
        }
    }

    fn list(&self) -> LocalFuture<'_, io::Result<Vec<String>>> {
        done(Ok(self.files.borrow().keys().cloned().collect()))
    }

    fn rename(&self, from: &str, to: &str) -> LocalFuture<'_, io::Result<()>> {
        let mut files = self.files.borrow_mut();
        let Some(content) = files.remove(from) else { return done(Err(not_found())) };
        files.insert(to.to_owned(), content);
        done(Ok(()))
    }

    fn remove(&self, name: &str) -> LocalFuture<'_, io::Result<()>> {
        done(self.files.borrow_mut().remove(name).map(drop).ok_or_else(not_found))
    }

    fn sync_dir(&self) -> LocalFuture<'_, io::Result<()>> {
        done(Ok(()))
    }
}

struct MemoryFile(Content);

impl File for MemoryFile {
    fn read_at(&self, position: u64, len: usize) -> LocalFuture<'_, io::Result<Bytes>> {
        let content = self.0.borrow();
        let start = usize::try_from(position).unwrap_or(usize::MAX).min(content.len());
        let end = start.saturating_add(len).min(content.len());
        done(Ok(content.slice(start..end)))
    }

    fn write_at(
        &self,
        position: u64,
        block: Block,
        len: usize,
        _: Durability,
    ) -> LocalFuture<'_, io::Result<()>> {
        let Ok(start) = usize::try_from(position) else {
            return done(Err(io::Error::from(io::ErrorKind::InvalidInput)));
        };
        // A write far beyond the file would be a hole on a real disk; here it would be memory.
        if start > (1 << 20) {
            return done(Err(io::Error::from(io::ErrorKind::StorageFull)));
        }
        let mut content = self.0.borrow().to_vec();
        content.resize(content.len().max(start + len), 0);
        content[start..start + len].copy_from_slice(&block.bytes()[..len]);
        *self.0.borrow_mut() = Bytes::from(content);
        done(Ok(()))
    }

    fn sync_data(&self) -> LocalFuture<'_, io::Result<()>> {
        done(Ok(()))
    }

    fn allocate(&self, len: u64) -> LocalFuture<'_, io::Result<()>> {
        let Some(len) = usize::try_from(len).ok().filter(|len| *len <= (1 << 20)) else {
            return done(Err(io::Error::from(io::ErrorKind::StorageFull)));
        };
        let mut content = self.0.borrow().to_vec();
        content.resize(content.len().max(len), 0);
        *self.0.borrow_mut() = Bytes::from(content);
        done(Ok(()))
    }

    fn len(&self) -> LocalFuture<'_, io::Result<u64>> {
        done(Ok(self.0.borrow().len() as u64))
    }
}
