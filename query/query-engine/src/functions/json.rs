//! `json_build_object(key, value, …)`. <https://www.postgresql.org/docs/15/functions-json.html>

use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::{Result, ScalarValue};
use datafusion::error::DataFusionError;
use query_api::{Error, ErrorKind};

use super::{Add, Returns, printed, text};

pub(super) fn register(add: &mut Add<'_>) {
    for name in ["json_build_object", "jsonb_build_object"] {
        add(name, Returns::Type(DataType::Utf8), Arc::new(build_object));
    }
}

fn build_object(args: &[ScalarValue]) -> Result<ScalarValue> {
    let refuse = |message: &str| {
        let error = Error::new(ErrorKind::Invalid, message).with_sqlstate("22023");
        DataFusionError::External(Box::new(error))
    };
    let mut shown = Vec::new();
    for pair in args.chunks(2) {
        let [key, value] = pair else {
            return Err(refuse("argument list must have even number of elements"));
        };
        if key.is_null() {
            return Err(refuse("null value not allowed for object key"));
        }
        let key = serde_json::Value::from(key.to_string());
        shown.push(format!("{key} : {}", json(value)?));
    }
    Ok(text(format!("{{{}}}", shown.join(", "))))
}

/// Numbers and booleans as they are, everything else as a string.
fn json(value: &ScalarValue) -> Result<String> {
    Ok(match value {
        _ if value.is_null() => "null".to_owned(),
        ScalarValue::Boolean(Some(it)) => it.to_string(),
        _ if value.data_type().is_numeric() => printed(value)?,
        _ => serde_json::Value::from(value.to_string()).to_string(),
    })
}
