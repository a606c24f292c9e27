//! The tables of header fields that are referred to by an index (RFC 7541 section 2.3).

use super::fields::FIELDS;
use super::input::Text;
use super::{Error, Field, Name};
use std::collections::VecDeque;

/// What an entry takes beside its name and value, as peers count.
const OVERHEAD: usize = 32;

/// The size of a dynamic table before anything was said of it.
pub(super) const INITIAL: usize = 4096;

/// The known fields, and those that an encoder added to them. Of most of these only lengths are kept.
#[derive(Debug)]
pub(super) struct Table {
    /// The newest first.
    entries: VecDeque<Entry>,
    /// The sum of the sizes of entries; at most `limit`.
    size: usize,
    limit: usize,
}

#[derive(Debug)]
struct Entry {
    name: FieldName,
    value_length: usize,
    /// The value, up to a length, if the name is one that matters.
    value: Option<Box<[u8]>>,
}

/// A name and its length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FieldName {
    pub(super) name: Name,
    pub(super) length: usize,
}

// === impl FieldName ===

impl From<Text<'_>> for FieldName {
    fn from(text: Text<'_>) -> Self {
        Self { name: Name::from(text.kept), length: text.length }
    }
}

// === impl Entry ===

impl Entry {
    const fn size(&self) -> usize {
        self.name.length + self.value_length + OVERHEAD
    }
}

// === impl Table ===

impl Table {
    pub(super) const fn new() -> Self {
        Self { entries: VecDeque::new(), size: 0, limit: INITIAL }
    }

    /// The field at an index.
    pub(super) fn field(&self, index: usize) -> Result<Field<'_>, Error> {
        let at = index.checked_sub(1).ok_or(Error::Index)?;
        if let Some((name, value)) = FIELDS.get(at) {
            let name = Name::from(name.as_bytes());
            return Ok(Field { name, value: if name == Name::Other { &[] } else { value.as_bytes() } });
        }
        let entry = self.entries.get(at - FIELDS.len()).ok_or(Error::Index)?;
        Ok(Field { name: entry.name.name, value: entry.value.as_deref().unwrap_or_default() })
    }

    /// The name at an index.
    pub(super) fn name(&self, index: usize) -> Result<FieldName, Error> {
        let at = index.checked_sub(1).ok_or(Error::Index)?;
        if let Some((name, _)) = FIELDS.get(at) {
            return Ok(FieldName { name: Name::from(name.as_bytes()), length: name.len() });
        }
        Ok(self.entries.get(at - FIELDS.len()).ok_or(Error::Index)?.name)
    }

    /// Adds a field. The oldest make room for it; one that is larger than the table leaves it empty.
    pub(super) fn insert(&mut self, name: FieldName, value: Text<'_>) {
        let kept = (name.name != Name::Other).then(|| value.kept.into());
        let entry = Entry { name, value_length: value.length, value: kept };
        let size = entry.size();
        self.evict(self.limit.saturating_sub(size));
        if size <= self.limit {
            self.size += size;
            self.entries.push_front(entry);
        }
    }

    /// Changes what the table may hold.
    pub(super) fn resize(&mut self, limit: usize) {
        self.limit = limit;
        self.evict(limit);
    }

    /// Drops the oldest entries until the rest has this size at most.
    fn evict(&mut self, size: usize) {
        while self.size > size
            && let Some(oldest) = self.entries.pop_back()
        {
            self.size -= oldest.size();
        }
    }

    #[cfg(any(test, feature = "fuzzing"))]
    pub(super) fn check(&self) {
        assert_eq!(self.size, self.entries.iter().map(Entry::size).sum::<usize>());
        assert!(self.size <= self.limit);
    }

    #[cfg(test)]
    pub(super) const fn size(&self) -> usize {
        self.size
    }

    #[cfg(any(test, feature = "fuzzing"))]
    pub(super) fn footprint(&self) -> usize {
        let values = self.entries.iter().filter_map(|entry| entry.value.as_deref().map(<[u8]>::len));
        self.entries.capacity() * size_of::<Entry>() + values.sum::<usize>()
    }
}
