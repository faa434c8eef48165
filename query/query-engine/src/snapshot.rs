//! What one statement sees: the topics with their ranges, taken once, and the shape of the tables it names.
//!
//! Invariants:
//! - Every scan of a statement reads the ranges of its one snapshot, whatever is appended meanwhile.
//! - A name that stands for two tables is an error, not a choice; a name of `pg_catalog` stands for that ([`crate::rewrite`]).
//! - A prepared statement has the shapes of now each time that it is executed.

use std::collections::BTreeMap;
use std::sync::Arc;

use query_api::{DeclaredFormat, DeclaredTable, Error, ErrorKind, TopicInfo};

use crate::shape::Shape;

/// OIDs below this are PostgreSQL's own.
const FIRST_USER_OID: u32 = 16_384;

/// All topics at one moment.
#[derive(Debug, Default)]
pub(crate) struct Snapshot {
    pub(crate) topics: Vec<Arc<TopicInfo>>,
}

/// A table a statement can name: a topic by its own name, or a declaration over a topic.
#[derive(Clone, Debug)]
pub(crate) struct Relation {
    pub(crate) name: String,
    pub(crate) oid: u32,
    pub(crate) topic: Arc<TopicInfo>,
    pub(crate) declared: Option<Arc<DeclaredTable>>,
}

impl Relation {
    /// The shape when no records need to be looked at.
    pub(crate) fn declared_shape(&self) -> Option<Shape> {
        let declared = self.declared.as_ref()?;
        Some(match declared.format {
            DeclaredFormat::Json => Shape::declared(&declared.columns),
            DeclaredFormat::Raw => Shape::raw(),
        })
    }
}

impl Snapshot {
    pub(crate) fn new(topics: Vec<TopicInfo>) -> Self {
        Self { topics: topics.into_iter().map(Arc::new).collect() }
    }

    /// Every table, by name. A declaration with its topic's name replaces the inferred table.
    pub(crate) fn relations(&self) -> BTreeMap<String, Relation> {
        let mut relations = BTreeMap::new();
        for topic in &self.topics {
            relations.insert(topic.name.clone(), inferred(topic));
        }
        for topic in &self.topics {
            for table in &topic.declared {
                relations.insert(table.name.clone(), declared(topic, table));
            }
        }
        relations
    }

    /// One table by exact name, to be read or written.
    ///
    /// # Errors
    /// 42P09 when it is declared over one topic and the name of another: neither may stand for the other.
    pub(crate) fn table(&self, name: &str) -> Result<Option<Relation>, Error> {
        let Some(relation) = self.relation(name) else { return Ok(None) };
        let topic = &relation.topic.name;
        if topic == name || !self.topics.iter().any(|it| it.name == name) {
            return Ok(Some(relation));
        }
        let message = format!(
            "relation \"{name}\" is ambiguous: a table declared over topic \"{topic}\", and a topic of that name"
        );
        Err(Error::new(ErrorKind::Conflict, message).with_sqlstate("42P09").with_hint(format!(
            "DROP TABLE \"{name}\" drops the declaration, `lumadb topic delete {name}` the topic and its records"
        )))
    }

    /// One table by exact name; a declaration comes before a topic.
    pub(crate) fn relation(&self, name: &str) -> Option<Relation> {
        let tables = self.topics.iter().flat_map(|topic| {
            topic.declared.iter().filter(|table| table.name == name).map(move |it| (topic, it))
        });
        if let Some((topic, table)) = tables.last() {
            return Some(declared(topic, table));
        }
        self.topics.iter().find(|topic| topic.name == name).map(inferred)
    }
}

fn inferred(topic: &Arc<TopicInfo>) -> Relation {
    Relation {
        name: topic.name.clone(),
        oid: oid(topic.number, 0),
        topic: Arc::clone(topic),
        declared: None,
    }
}

fn declared(topic: &Arc<TopicInfo>, table: &Arc<DeclaredTable>) -> Relation {
    Relation {
        name: table.name.clone(),
        oid: oid(table.number, 1),
        topic: Arc::clone(topic),
        declared: Some(Arc::clone(table)),
    }
}

/// Topics have even OIDs and declarations odd ones, so the two number spaces cannot meet. The catalog's numbers
/// are durable; past two billion objects they wrap above [`FIRST_USER_OID`].
fn oid(number: u64, low: u64) -> u32 {
    let span = u64::from(u32::MAX - FIRST_USER_OID) & !1;
    let offset = number.wrapping_mul(2).wrapping_add(low) % span;
    FIRST_USER_OID + u32::try_from(offset).unwrap_or(0)
}
