//! Messages described by their fields: one table per struct gives decode, encode, sizes and defaults.
//!
//! A line of [`message!`] reads: field, type, versions it exists in, default elsewhere, and for optional fields the
//! first version that allows null. Tagged fields are written only when they differ from their default (KIP-482);
//! unknown tags are skipped.
//!
//! Invariants:
//! - `bytes_min` is a lower bound of an element's encoding: array counts are checked against it before allocating.
//! - A field absent from a version is its default after decoding, and is silently left out when encoding.

use crate::error::WireError;
use crate::reader::{Reader, Version};
use crate::writer::Writer;
use bytes::Bytes;
use log_types::{LeaderEpoch, NodeId, Offset, PartitionId, ProducerId, TopicId};

/// A field type of the protocol.
pub(crate) trait Field: Sized {
    fn read(reader: &mut Reader<'_>) -> Result<Self, WireError>;
    fn write(&self, writer: &mut Writer);
    /// Fewest bytes this type takes in `version`; at least 1.
    fn bytes_min(version: Version) -> usize;

    /// Walks over a value and adds what it will cost to the reader's account, in slices of work.
    async fn weigh(reader: &mut Reader<'_>) -> Result<(), WireError> {
        Self::read(reader).map(drop)
    }

    /// [`Field::read`] in slices of work.
    async fn read_paced(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        Self::read(reader)
    }

    /// [`Field::write`] in slices of work; frees what is written as it goes.
    async fn write_paced(self, writer: &mut Writer) {
        self.write(writer);
    }
}

macro_rules! integers {
    ($($type:ty)*) => {$(
        impl Field for $type {
            fn read(reader: &mut Reader<'_>) -> Result<Self, WireError> {
                Ok(Self::from_be_bytes(reader.fixed()?))
            }
            fn write(&self, writer: &mut Writer) {
                writer.put(&self.to_be_bytes());
            }
            fn bytes_min(_: Version) -> usize {
                size_of::<Self>()
            }
        }
    )*};
}

macro_rules! newtypes {
    ($($type:ident($inner:ty))*) => {$(
        impl Field for $type {
            fn read(reader: &mut Reader<'_>) -> Result<Self, WireError> {
                <$inner>::read(reader).map(Self)
            }
            fn write(&self, writer: &mut Writer) {
                self.0.write(writer);
            }
            fn bytes_min(version: Version) -> usize {
                <$inner>::bytes_min(version)
            }
        }
    )*};
}

integers!(i8 i16 i32 i64);
newtypes!(Offset(i64) PartitionId(i32) LeaderEpoch(i32) NodeId(i32) ProducerId(i64));

impl Field for bool {
    fn read(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        Ok(i8::read(reader)? != 0)
    }
    fn write(&self, writer: &mut Writer) {
        i8::from(*self).write(writer);
    }
    fn bytes_min(_: Version) -> usize {
        1
    }
}

impl Field for TopicId {
    fn read(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        reader.fixed().map(Self)
    }
    fn write(&self, writer: &mut Writer) {
        writer.put(&self.0);
    }
    fn bytes_min(_: Version) -> usize {
        16
    }
}

impl Field for Option<String> {
    fn read(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        let Some(bytes) = reader.string_bytes()? else { return Ok(None) };
        let text = std::str::from_utf8(bytes).map_err(|_| WireError::BadUtf8)?;
        reader.copied(bytes.len());
        Ok(Some(text.to_owned()))
    }
    fn write(&self, writer: &mut Writer) {
        writer.string(self.as_deref());
    }
    fn bytes_min(version: Version) -> usize {
        if version.flexible { 1 } else { 2 }
    }
    async fn weigh(reader: &mut Reader<'_>) -> Result<(), WireError> {
        reader.weigh_string().map(drop)
    }
}

impl Field for String {
    fn read(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        Option::<Self>::read(reader)?.ok_or(WireError::UnexpectedNull)
    }
    fn write(&self, writer: &mut Writer) {
        writer.string(Some(self));
    }
    fn bytes_min(version: Version) -> usize {
        Option::<Self>::bytes_min(version)
    }
    async fn weigh(reader: &mut Reader<'_>) -> Result<(), WireError> {
        reader.weigh_string().map(drop)
    }
}

fn length_bytes_min(version: Version) -> usize {
    if version.flexible { 1 } else { 4 }
}

impl Field for Option<Bytes> {
    fn read(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        let taken = reader.blob()?;
        Ok(taken.map(|bytes| reader.slice(bytes)))
    }
    fn write(&self, writer: &mut Writer) {
        writer.length(self.as_ref().map(Bytes::len));
        if let Some(bytes) = self {
            writer.slice(bytes);
        }
    }
    fn bytes_min(version: Version) -> usize {
        length_bytes_min(version)
    }
}

/// Record batches of one partition: slices that are sent one after the other, never copied together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BatchSlices(pub Vec<Bytes>);

impl BatchSlices {
    /// Bytes of all slices.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.iter().map(Bytes::len).sum()
    }

    /// No bytes at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(Bytes::is_empty)
    }
}

impl Field for BatchSlices {
    /// Null reads as no slices: brokers of all versions send either for "nothing to read".
    fn read(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        let records = Option::<Bytes>::read(reader)?;
        Ok(Self(records.into_iter().filter(|slice| !slice.is_empty()).collect()))
    }
    fn write(&self, writer: &mut Writer) {
        writer.length(Some(self.len()));
        for slice in &self.0 {
            writer.slice(slice);
        }
    }
    fn bytes_min(version: Version) -> usize {
        length_bytes_min(version)
    }
}

impl<T: Field> Field for Option<Vec<T>> {
    fn read(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        let Some(count) = count_of::<T>(reader)? else { return Ok(None) };
        let mut elements = Vec::with_capacity(count);
        for _ in 0..count {
            elements.push(T::read(reader)?);
        }
        Ok(Some(elements))
    }
    fn write(&self, writer: &mut Writer) {
        match self {
            None => writer.length(None),
            Some(elements) => elements.write(writer),
        }
    }
    fn bytes_min(version: Version) -> usize {
        length_bytes_min(version)
    }
    async fn weigh(reader: &mut Reader<'_>) -> Result<(), WireError> {
        let Some(count) = count_of::<T>(reader)? else { return Ok(()) };
        for _ in 0..count {
            T::weigh(reader).await?;
            reader.element_done().await;
        }
        Ok(())
    }
    async fn read_paced(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        let Some(count) = count_of::<T>(reader)? else { return Ok(None) };
        let mut elements = Vec::with_capacity(count);
        for _ in 0..count {
            elements.push(T::read_paced(reader).await?);
            reader.element_done().await;
        }
        Ok(Some(elements))
    }
    async fn write_paced(self, writer: &mut Writer) {
        match self {
            None => writer.length(None),
            Some(elements) => elements.write_paced(writer).await,
        }
    }
}

fn count_of<T: Field>(reader: &mut Reader<'_>) -> Result<Option<usize>, WireError> {
    reader.count(T::bytes_min(reader.version), size_of::<T>())
}

impl<T: Field> Field for Vec<T> {
    fn read(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        Option::<Self>::read(reader)?.ok_or(WireError::UnexpectedNull)
    }
    fn write(&self, writer: &mut Writer) {
        writer.length(Some(self.len()));
        for element in self {
            element.write(writer);
        }
    }
    fn bytes_min(version: Version) -> usize {
        length_bytes_min(version)
    }
    async fn weigh(reader: &mut Reader<'_>) -> Result<(), WireError> {
        Option::<Self>::weigh(reader).await
    }
    async fn read_paced(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        Option::<Self>::read_paced(reader).await?.ok_or(WireError::UnexpectedNull)
    }
    async fn write_paced(self, writer: &mut Writer) {
        writer.length(Some(self.len()));
        for element in self {
            element.write_paced(writer).await;
            writer.element_done().await;
        }
    }
}

/// Defines a struct of the protocol; see the module documentation.
macro_rules! message {
    (
        $(#[$doc:meta])*
        pub struct $name:ident {
            $($(#[$field_doc:meta])* $field:ident: $type:ty, $versions:expr, $default:expr $(, null $null:literal)?;)*
        }
        $(tagged {
            $($(#[$tagged_doc:meta])* $tag:literal $tagged:ident: $tagged_type:ty, $tagged_versions:expr, $tagged_default:expr;)*
        })?
    ) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct $name {
            $($(#[$field_doc])* pub $field: $type,)*
            $($($(#[$tagged_doc])* pub $tagged: $tagged_type,)*)?
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $($field: $default,)* $($($tagged: $tagged_default,)*)? }
            }
        }

        impl $name {
            fn read_tags(&mut self, reader: &mut crate::reader::Reader<'_>) -> Result<(), crate::error::WireError> {
                #[allow(unused_variables, reason = "most structs have no tagged fields")]
                let (version, message) = (reader.version.number, self);
                if reader.version.flexible {
                    reader.tags(|tag, inner| match (tag, inner) {
                        $($(
                            ($tag, inner) if ($tagged_versions).contains(&version) => {
                                message.$tagged = crate::message::Field::read(inner)?;
                                Ok(true)
                            }
                        )*)?
                        _ => Ok(false),
                    })?;
                }
                Ok(())
            }

            #[allow(unused_variables, reason = "most structs have no tagged fields")]
            fn tagged(&self, version: crate::reader::Version) -> Vec<(u32, crate::writer::Writer)> {
                #[allow(unused_mut, reason = "most structs have no tagged fields")]
                let mut tagged: Vec<(u32, crate::writer::Writer)> = Vec::new();
                $($(
                    if ($tagged_versions).contains(&version.number) && self.$tagged != $tagged_default {
                        let mut content = crate::writer::Writer::new(version);
                        crate::message::Field::write(&self.$tagged, &mut content);
                        tagged.push(($tag, content));
                    }
                )*)?
                tagged
            }
        }

        impl crate::message::Field for $name {
            fn read(reader: &mut crate::reader::Reader<'_>) -> Result<Self, crate::error::WireError> {
                let mut message = Self::default();
                let version = reader.version.number;
                $(
                    if ($versions).contains(&version) {
                        message.$field = crate::message::Field::read(reader)?;
                        $(
                            if version < $null && message.$field.is_none() {
                                return Err(crate::error::WireError::UnexpectedNull);
                            }
                        )?
                    }
                )*
                message.read_tags(reader)?;
                Ok(message)
            }

            fn write(&self, writer: &mut crate::writer::Writer) {
                let version = writer.version.number;
                $(
                    if ($versions).contains(&version) {
                        crate::message::write_field!(self.$field, writer, version $(, $null)?);
                    }
                )*
                if writer.version.flexible {
                    writer.tags(self.tagged(writer.version));
                }
            }

            async fn weigh(reader: &mut crate::reader::Reader<'_>) -> Result<(), crate::error::WireError> {
                let version = reader.version.number;
                $(
                    if ($versions).contains(&version) {
                        <$type as crate::message::Field>::weigh(reader).await?;
                    }
                )*
                if reader.version.flexible {
                    reader.tags(|tag, inner| match (tag, inner) {
                        $($(
                            ($tag, inner) if ($tagged_versions).contains(&version) => {
                                <$tagged_type as crate::message::Field>::read(inner).map(|_| true)
                            }
                        )*)?
                        _ => Ok(false),
                    })?;
                }
                Ok(())
            }

            async fn read_paced(reader: &mut crate::reader::Reader<'_>) -> Result<Self, crate::error::WireError> {
                let mut message = Self::default();
                let version = reader.version.number;
                $(
                    if ($versions).contains(&version) {
                        message.$field = <$type as crate::message::Field>::read_paced(reader).await?;
                        $(
                            if version < $null && message.$field.is_none() {
                                return Err(crate::error::WireError::UnexpectedNull);
                            }
                        )?
                    }
                )*
                message.read_tags(reader)?;
                Ok(message)
            }

            async fn write_paced(self, writer: &mut crate::writer::Writer) {
                let version = writer.version.number;
                let tagged = self.tagged(writer.version);
                $(
                    if ($versions).contains(&version) {
                        crate::message::write_field_paced!(self.$field, writer, version $(, $null)?);
                    }
                )*
                if writer.version.flexible {
                    writer.tags(tagged);
                }
            }

            fn bytes_min(version: crate::reader::Version) -> usize {
                let mut bytes = usize::from(version.flexible);
                $(
                    if ($versions).contains(&version.number) {
                        bytes += <$type as crate::message::Field>::bytes_min(version);
                    }
                )*
                bytes
            }
        }
    };
}

/// Writes a field; null becomes the empty value in versions that have no null.
macro_rules! write_field {
    ($value:expr, $writer:ident, $version:ident) => {
        $value.write($writer)
    };
    ($value:expr, $writer:ident, $version:ident, $null:literal) => {
        if $version < $null && $value.is_none() {
            crate::message::write_empty(&$value, $writer);
        } else {
            $value.write($writer);
        }
    };
}

/// [`write_field`] in slices of work.
macro_rules! write_field_paced {
    ($value:expr, $writer:ident, $version:ident) => {
        $value.write_paced($writer).await
    };
    ($value:expr, $writer:ident, $version:ident, $null:literal) => {
        if $version < $null && $value.is_none() {
            crate::message::write_empty(&$value, $writer);
        } else {
            $value.write_paced($writer).await;
        }
    };
}

/// Writes the empty value of an optional field's type.
pub(crate) fn write_empty<T: Default>(_: &Option<T>, writer: &mut Writer)
where
    Option<T>: Field,
{
    Some(T::default()).write(writer);
}

/// Gives a request struct its frame functions.
macro_rules! request {
    ($name:ident, $api:expr) => {
        impl $name {
            /// Decodes the body that [`crate::RequestHeader::parse`] returned; record bytes stay slices of it.
            /// Bytes after the last field are ignored, as Kafka does.
            ///
            /// # Errors
            /// The first defect found.
            pub fn decode(
                body: &bytes::Bytes,
                version: i16,
            ) -> Result<Self, crate::error::WireError> {
                let mut reader =
                    crate::reader::Reader::new(body, crate::header::encoding($api, version)?);
                crate::message::Field::read(&mut reader)
            }

            /// What the request will take in memory, proven to be there; in slices of work.
            ///
            /// # Errors
            /// The first impossible length, count or tag. Text is not looked at.
            pub async fn cost(
                body: &bytes::Bytes,
                version: i16,
            ) -> Result<crate::Cost, crate::error::WireError> {
                let mut reader =
                    crate::reader::Reader::new(body, crate::header::encoding($api, version)?);
                <Self as crate::message::Field>::weigh(&mut reader).await?;
                Ok(reader.cost())
            }

            /// Decodes as [`Self::decode`] does, in slices of work.
            ///
            /// # Errors
            /// The first defect found.
            pub async fn decode_paced(
                body: &bytes::Bytes,
                version: i16,
            ) -> Result<Self, crate::error::WireError> {
                let mut reader =
                    crate::reader::Reader::new(body, crate::header::encoding($api, version)?);
                <Self as crate::message::Field>::read_paced(&mut reader).await
            }

            /// Encodes a whole request frame, for clients.
            ///
            /// # Errors
            /// `UnsupportedVersion`, `TooLarge`.
            pub fn encode(
                &self,
                version: i16,
                correlation_id: i32,
                client_id: Option<&str>,
            ) -> Result<crate::Frame, crate::error::WireError> {
                let mut writer =
                    crate::header::request_writer($api, version, correlation_id, client_id)?;
                crate::message::Field::write(self, &mut writer);
                writer.finish()
            }
        }
    };
}

/// Gives a response struct its frame functions.
macro_rules! response {
    ($name:ident, $api:expr) => {
        impl $name {
            /// Encodes a whole response frame, header included; record slices are passed on, not copied.
            ///
            /// # Errors
            /// `UnsupportedVersion`, `TooLarge`.
            pub fn encode(
                &self,
                version: i16,
                correlation_id: i32,
            ) -> Result<crate::Frame, crate::error::WireError> {
                let mut writer = crate::header::response_writer($api, version, correlation_id)?;
                crate::message::Field::write(self, &mut writer);
                writer.finish()
            }

            /// Encodes as [`Self::encode`] does, in slices of work.
            ///
            /// # Errors
            /// `UnsupportedVersion`, `TooLarge`.
            pub async fn encode_paced(
                self,
                version: i16,
                correlation_id: i32,
            ) -> Result<crate::Frame, crate::error::WireError> {
                let mut writer = crate::header::response_writer($api, version, correlation_id)?;
                crate::message::Field::write_paced(self, &mut writer).await;
                writer.finish()
            }

            /// Decodes a response without its size field, for clients: the correlation id and the message.
            ///
            /// # Errors
            /// The first defect found, `TrailingBytes` included.
            pub fn decode(
                response: &bytes::Bytes,
                version: i16,
            ) -> Result<(i32, Self), crate::error::WireError> {
                let (correlation_id, mut reader) =
                    crate::header::response_reader($api, version, response)?;
                let message = crate::message::Field::read(&mut reader)?;
                match reader.remaining() {
                    0 => Ok((correlation_id, message)),
                    count => Err(crate::error::WireError::TrailingBytes { count }),
                }
            }
        }
    };
}

pub(crate) use {message, request, response, write_field, write_field_paced};
