//! One table of rows in every format.

use serde_json::json;

use super::*;

fn rows() -> Rows {
    let mut rows = Rows::new(&["name", "n"]);
    rows.push(vec![json!("a,\"b\""), json!(1)]);
    rows.push(vec![json!(null), json!(20)]);
    rows
}

#[test]
fn every_format_keeps_the_order_of_columns() {
    let check = |format, expected: &str| assert_eq!(rows().render(format), expected, "{format:?}");
    check(Format::Jsonl, "{\"name\":\"a,\\\"b\\\"\",\"n\":1}\n{\"name\":null,\"n\":20}\n");
    check(Format::Json, "[{\"name\":\"a,\\\"b\\\"\",\"n\":1},\n{\"name\":null,\"n\":20}]\n");
    check(Format::Csv, "name,n\n\"a,\"\"b\"\"\",1\n,20\n");
    check(Format::Tsv, "name\tn\na,\"b\"\t1\n\t20\n");
    check(
        Format::Vertical,
        "-[ RECORD 1 ]\nname | a,\"b\"\nn    | 1\n-[ RECORD 2 ]\nname | NULL\nn    | 20\n",
    );
    let table = rows().render(Format::Table);
    let cells =
        |line: &str| line.split(['│', '┆']).map(|cell| cell.trim().to_owned()).collect::<Vec<_>>();
    let lines: Vec<_> = table.lines().map(cells).collect();
    assert_eq!(lines[3], ["", "a,\"b\"", "1", ""], "{table}");
    assert_eq!(lines[4], ["", "NULL", "20", ""], "{table}");
}

#[test]
fn auto_depends_on_the_terminal() {
    assert_eq!(Format::Auto.resolve(true), Format::Table);
    assert_eq!(Format::Auto.resolve(false), Format::Jsonl);
    assert_eq!(Format::Csv.resolve(true), Format::Csv);
}

/// The sum of a column of whole numbers was text to whoever read the JSON.
#[test]
fn decimals_are_numbers_with_all_their_digits() {
    let mut rows = Rows::new(&["sum", "text"]);
    rows.decimal = vec![0];
    for text in ["3", "1.50", "123456789012345678901234567890.5", "NaN"] {
        rows.push(vec![text.into(), text.into()]);
    }
    rows.push(vec![Value::Null, Value::Null]);
    let jsonl = "{\"sum\":3,\"text\":\"3\"}\n{\"sum\":1.50,\"text\":\"1.50\"}\n\
        {\"sum\":123456789012345678901234567890.5,\"text\":\"123456789012345678901234567890.5\"}\n\
        {\"sum\":\"NaN\",\"text\":\"NaN\"}\n{\"sum\":null,\"text\":null}\n";
    assert_eq!(rows.render(Format::Jsonl), jsonl);
    assert!(rows.render(Format::Csv).contains("\n1.50,1.50\n"));
}
