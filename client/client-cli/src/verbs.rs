//! The format of a consumed record, with rpk's verbs.
//!
//! | verb | prints |
//! |---|---|
//! | `%t` `%p` `%o` `%d` | topic, partition, offset, timestamp in milliseconds |
//! | `%k` `%v` | key, value, as they are; `{hex}` in hexadecimal, `{len}` their length in bytes |
//! | `%x{k}` `%x{v}` | the same as `%k{hex}` `%v{hex}` |
//! | `%T` `%K` `%V` | length of the topic's name, key, value in bytes |
//! | `%h` `%H` | headers as `name=value`, comma between them; how many there are |
//! | `%%` `\n` `\t` `\r` `\\` | the character |

use client_kafka::OwnedRecord;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    Key,
    Value,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Raw,
    Hex,
    Len,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(Vec<u8>),
    Topic,
    Partition,
    Offset,
    Timestamp,
    TopicLen,
    Headers,
    HeaderCount,
    Bytes(Field, Form),
}

/// A parsed template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Template {
    pieces: Vec<Piece>,
}

impl Template {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut pieces = Vec::new();
        let mut literal = Vec::new();
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            rest = rest.get(first.len_utf8()..).unwrap_or_default();
            match first {
                '\\' => literal.push(escape(&mut rest)?),
                '%' if rest.starts_with('%') => {
                    literal.push(b'%');
                    rest = &rest[1..];
                }
                '%' => {
                    if !literal.is_empty() {
                        pieces.push(Piece::Text(std::mem::take(&mut literal)));
                    }
                    pieces.push(verb(&mut rest)?);
                }
                other => literal.extend_from_slice(other.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        if !literal.is_empty() {
            pieces.push(Piece::Text(literal));
        }
        Ok(Self { pieces })
    }

    /// Appends one record to `out`.
    pub(crate) fn render(
        &self,
        topic: &str,
        partition: i32,
        record: &OwnedRecord,
        out: &mut Vec<u8>,
    ) {
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => out.extend_from_slice(text),
                Piece::Topic => out.extend_from_slice(topic.as_bytes()),
                Piece::Partition => out.extend_from_slice(partition.to_string().as_bytes()),
                Piece::Offset => out.extend_from_slice(record.offset.to_string().as_bytes()),
                Piece::Timestamp => {
                    out.extend_from_slice(record.timestamp_ms.to_string().as_bytes())
                }
                Piece::TopicLen => out.extend_from_slice(topic.len().to_string().as_bytes()),
                Piece::Headers => headers(record, out),
                Piece::HeaderCount => {
                    out.extend_from_slice(record.headers.len().to_string().as_bytes());
                }
                Piece::Bytes(field, form) => {
                    let bytes = match field {
                        Field::Key => record.key.as_deref(),
                        Field::Value => record.value.as_deref(),
                    };
                    bytes_in(bytes.unwrap_or_default(), *form, out);
                }
            }
        }
    }
}

fn headers(record: &OwnedRecord, out: &mut Vec<u8>) {
    for (index, (name, value)) in record.headers.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        out.extend_from_slice(name);
        out.push(b'=');
        out.extend_from_slice(value.as_deref().unwrap_or_default());
    }
}

fn bytes_in(bytes: &[u8], form: Form, out: &mut Vec<u8>) {
    match form {
        Form::Raw => out.extend_from_slice(bytes),
        Form::Len => out.extend_from_slice(bytes.len().to_string().as_bytes()),
        Form::Hex => {
            const DIGITS: &[u8; 16] = b"0123456789abcdef";
            for byte in bytes {
                out.push(DIGITS[usize::from(byte >> 4)]);
                out.push(DIGITS[usize::from(byte & 15)]);
            }
        }
    }
}

fn take_char(rest: &mut &str) -> Option<char> {
    let first = rest.chars().next()?;
    *rest = rest.get(first.len_utf8()..).unwrap_or_default();
    Some(first)
}

fn escape(rest: &mut &str) -> Result<u8, String> {
    match take_char(rest) {
        Some('n') => Ok(b'\n'),
        Some('t') => Ok(b'\t'),
        Some('r') => Ok(b'\r'),
        Some('\\') => Ok(b'\\'),
        other => Err(format!(
            "unknown escape \\{} in the template",
            other.map(String::from).unwrap_or_default()
        )),
    }
}

fn verb(rest: &mut &str) -> Result<Piece, String> {
    let letter = take_char(rest).ok_or("the template ends with a lone %")?;
    let argument = match rest.strip_prefix('{') {
        None => None,
        Some(inside) => {
            let (argument, after) =
                inside.split_once('}').ok_or("a { in the template is not closed")?;
            *rest = after;
            Some(argument)
        }
    };
    let form = |argument: Option<&str>| match argument {
        None => Ok(Form::Raw),
        Some("hex") => Ok(Form::Hex),
        Some("len") => Ok(Form::Len),
        Some(other) => Err(format!("unknown form {{{other}}} of %{letter}: expected hex or len")),
    };
    match (letter, argument) {
        ('k', _) => Ok(Piece::Bytes(Field::Key, form(argument)?)),
        ('v', _) => Ok(Piece::Bytes(Field::Value, form(argument)?)),
        ('x', Some("k")) => Ok(Piece::Bytes(Field::Key, Form::Hex)),
        ('x', Some("v")) => Ok(Piece::Bytes(Field::Value, Form::Hex)),
        ('x', _) => Err("%x needs {k} or {v}".to_owned()),
        (_, Some(_)) => Err(format!("%{letter} takes no {{…}}")),
        ('t', None) => Ok(Piece::Topic),
        ('p', None) => Ok(Piece::Partition),
        ('o', None) => Ok(Piece::Offset),
        ('d', None) => Ok(Piece::Timestamp),
        ('h', None) => Ok(Piece::Headers),
        ('H', None) => Ok(Piece::HeaderCount),
        ('T', None) => Ok(Piece::TopicLen),
        ('K', None) => Ok(Piece::Bytes(Field::Key, Form::Len)),
        ('V', None) => Ok(Piece::Bytes(Field::Value, Form::Len)),
        ('s', None) => Err("unknown verb %s: kcat's %s is %v here, its %S is %V".to_owned()),
        _ => Err(format!(
            "unknown verb %{letter}: expected t, p, o, d, k, v, h, x, their lengths T, K, V, the count H, or %"
        )),
    }
}

#[cfg(test)]
mod tests;
