//! Values and rows as adapters see them.

/// The types an adapter must be able to render.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum DataType {
    Bool,
    Int2,
    Int4,
    Int8,
    Float4,
    Float8,
    /// Exact decimal: (precision, scale).
    Numeric(u8, i8),
    Text,
    /// PostgreSQL's 63-byte identifier type; catalogs use it.
    Name,
    /// PostgreSQL's internal one-byte `"char"`.
    InternalChar,
    Bytea,
    /// Days since 1970-01-01.
    Date,
    /// Microseconds since midnight.
    Time,
    /// Microseconds since 1970-01-01 00:00:00, no zone.
    Timestamp,
    /// Microseconds since 1970-01-01 00:00:00 UTC.
    TimestampTz,
    Interval,
    Json,
    /// JSON in a form that is one for equal values, but for zeros at the end of numbers.
    Jsonb,
    Oid,
    /// A number that prints as the name of what it identifies.
    Reg(RegKind),
    Array(Box<DataType>),
    /// The type of a bare NULL or of an untyped parameter.
    Unknown,
}

/// What an object identifier type identifies: `regclass`, `regtype` and their kin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RegKind {
    Class,
    Type,
    Proc,
    Procedure,
    Namespace,
    Role,
}

impl RegKind {
    pub const ALL: [Self; 6] =
        [Self::Class, Self::Type, Self::Proc, Self::Procedure, Self::Namespace, Self::Role];

    /// The type's name in SQL.
    #[must_use]
    pub fn type_name(self) -> &'static str {
        match self {
            Self::Class => "regclass",
            Self::Type => "regtype",
            Self::Proc => "regproc",
            Self::Procedure => "regprocedure",
            Self::Namespace => "regnamespace",
            Self::Role => "regrole",
        }
    }
}

/// One value. The variant agrees with the column's [`DataType`], or is `Null`.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Null,
    Bool(bool),
    Int2(i16),
    Int4(i32),
    Int8(i64),
    Float4(f32),
    Float8(f64),
    /// Unscaled value and scale: `Numeric(12345, 2)` is 123.45.
    Numeric(i128, i8),
    /// Text, Name and InternalChar.
    Text(String),
    Bytea(bytes::Bytes),
    /// Days since 1970-01-01.
    Date(i32),
    /// Microseconds since midnight.
    Time(i64),
    /// Microseconds since the Unix epoch; for `Timestamp` and `TimestampTz`.
    Timestamp(i64),
    /// PostgreSQL's interval: months, days, microseconds.
    Interval {
        months: i32,
        days: i32,
        micros: i64,
    },
    /// JSON text as stored; for `Json` and `Jsonb`.
    Json(String),
    Oid(u32),
    /// The number is the binary form, the name the text form.
    Reg {
        oid: u32,
        name: String,
    },
    Array(Vec<Value>),
}

/// One row, as many values as columns.
pub type Row = Vec<Value>;
