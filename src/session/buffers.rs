//! Buffers lent while bytes move, one set per worker: an idle session holds none (DESIGN §5 Memory).

use std::cell::RefCell;

/// Bytes read from a socket at a time: a TLS record's worth and its overhead.
const READ_BYTES: usize = 32 * 1024;

/// Write buffers kept for the next turn; more are freed.
const SPARE_MAX: usize = 4;

/// A spare write buffer larger than this is freed.
const SPARE_BYTES: usize = 256 * 1024;

/// One worker's buffers.
pub struct Buffers {
    read: RefCell<Vec<u8>>,
    spare: RefCell<Vec<Vec<u8>>>,
}

impl Default for Buffers {
    fn default() -> Buffers {
        Buffers {
            read: RefCell::new(vec![0; READ_BYTES]),
            spare: RefCell::default(),
        }
    }
}

impl Buffers {
    /// Takes the read buffer; it must be given back.
    pub(super) fn take_read(&self) -> Vec<u8> {
        let mut buffer = std::mem::take(&mut *self.read.borrow_mut());
        if buffer.is_empty() {
            // A panic lost the last one.
            buffer.resize(READ_BYTES, 0);
        }
        buffer
    }

    /// Gives the read buffer back.
    pub(super) fn give_read(&self, buffer: Vec<u8>) {
        *self.read.borrow_mut() = buffer;
    }

    /// An empty buffer to write into.
    pub(super) fn take_write(&self) -> Vec<u8> {
        self.spare.borrow_mut().pop().unwrap_or_default()
    }

    /// Gives a write buffer back.
    pub(super) fn give_write(&self, mut buffer: Vec<u8>) {
        let mut spare = self.spare.borrow_mut();
        if spare.len() < SPARE_MAX && buffer.capacity() <= SPARE_BYTES {
            buffer.clear();
            spare.push(buffer);
        }
    }
}
