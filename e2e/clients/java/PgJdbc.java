// pgjdbc: SELECTs over a topic that Java's kafka-clients have just produced. Run as a single source file; prints the JSON
// lines that e2e/clients/python/common.py describes.

import java.sql.*;
import java.util.*;
import org.apache.kafka.clients.producer.*;
import org.apache.kafka.common.serialization.StringSerializer;

public class PgJdbc {
    static final int COUNT = 100;
    // Within every topic's retention.
    static final long BASE = System.currentTimeMillis() / 1000 * 1000 - 3_600_000;
    static String bootstrap, pg, topic = "e2e-sql-jdbc";
    static Connection connection;

    interface Operation { void run() throws Exception; }

    static void check(boolean fact, String text) { if (!fact) throw new IllegalStateException(text); }

    static void expect(String query, String wanted, Object... parameters) throws SQLException {
        // Past prepareThreshold (5) pgjdbc names its statements and asks for binary results: both ways must agree.
        for (int round = 0; round < 7; round++) {
            StringBuilder got = new StringBuilder();
            try (PreparedStatement statement = connection.prepareStatement(query)) {
                for (int i = 0; i < parameters.length; i++) statement.setObject(i + 1, parameters[i]);
                ResultSet rows = statement.executeQuery();
                int columns = rows.getMetaData().getColumnCount();
                while (rows.next()) {
                    for (int i = 1; i <= columns; i++) got.append(rows.getObject(i)).append(i < columns ? "," : ";");
                }
            }
            check(got.toString().equals(wanted), query + ": " + got + " instead of " + wanted);
        }
    }

    static void select() throws Exception {
        Map<String, Object> config = Map.of("bootstrap.servers", bootstrap, "compression.type", "gzip");
        try (var producer = new KafkaProducer<>(config, new StringSerializer(), new StringSerializer())) {
            for (int i = 0; i < COUNT; i++) {
                String value = "{\"id\": " + i + ", \"name\": \"n" + i + "\", \"price\": " + i / 4.0 + ", \"even\": " + (i % 2 == 0) + "}";
                producer.send(new ProducerRecord<>(topic, 0, BASE + i * 1000L, "k" + i, value));
            }
            producer.flush();
        }
        connection = DriverManager.getConnection("jdbc:postgresql://" + pg + "/luma?user=luma");
        expect("SELECT count(*) FROM \"" + topic + "\"", "100;");
        expect("SELECT id, name, price, even FROM \"" + topic + "\" ORDER BY id LIMIT 2", "0,n0,0.0,true;1,n1,0.25,false;");
        metadata();
    }

    static void where() throws Exception {
        expect("SELECT id FROM \"" + topic + "\" WHERE price > 23 AND even ORDER BY id", "94;96;98;");
    }

    static void systemColumns() throws Exception {
        expect("SELECT _partition, _offset FROM \"" + topic + "\" WHERE _offset >= 98 ORDER BY _offset", "0,98;0,99;");
        expect("SELECT id FROM \"" + topic + "\" WHERE _timestamp >= ? ORDER BY id", "98;99;", new Timestamp(BASE + 98_000));
    }

    static void parameters() throws Exception {
        expect("SELECT name FROM \"" + topic + "\" WHERE id = ?", "n42;", 42L);
        expect("SELECT id FROM \"" + topic + "\" WHERE name = ?", "7;", "n7");
        connection.setAutoCommit(false);
        try (Statement statement = connection.createStatement()) {
            statement.setFetchSize(10); // a portal that is fetched from in steps
            ResultSet rows = statement.executeQuery("SELECT id FROM \"" + topic + "\" ORDER BY id");
            int count = 0;
            while (rows.next()) check(rows.getLong(1) == count++, "row " + count);
            check(count == COUNT, count + " rows");
        }
        connection.setAutoCommit(true);
    }

    static void metadata() throws Exception {
        DatabaseMetaData meta = connection.getMetaData();
        check(meta.getDatabaseProductName().equals("PostgreSQL"), meta.getDatabaseProductName());
        check(column(meta.getSchemas(), "TABLE_SCHEM").contains("public"), "getSchemas");
        check(column(meta.getCatalogs(), "TABLE_CAT").contains("luma"), "getCatalogs");
        check(column(meta.getTableTypes(), "TABLE_TYPE").contains("TABLE"), "getTableTypes");
        for (String[] types : new String[][] {null, {"TABLE"}, {"TABLE", "VIEW"}}) {
            List<String> tables = column(meta.getTables(null, "public", "%", types), "TABLE_NAME");
            check(tables.contains(topic), "getTables: " + tables);
        }
        check(column(meta.getTables(null, null, "no such table", null), "TABLE_NAME").isEmpty(), "getTables of nothing");
        StringBuilder columns = new StringBuilder();
        try (ResultSet rows = meta.getColumns(null, "public", topic, "%")) {
            while (rows.next()) {
                if (rows.getString("COLUMN_NAME").startsWith("_")) continue;
                columns.append(rows.getString("COLUMN_NAME")).append(' ').append(rows.getString("TYPE_NAME")).append(' ');
                columns.append(rows.getInt("DATA_TYPE")).append(';');
            }
        }
        for (String wanted : List.of("id int8 " + Types.BIGINT + ";", "name text " + Types.VARCHAR + ";",
                "price float8 " + Types.DOUBLE + ";", "even bool " + Types.BIT + ";")) {
            check(columns.toString().contains(wanted), "getColumns: " + columns);
        }
        // A topic has none of these: empty, and no error.
        check(column(meta.getPrimaryKeys(null, "public", topic), "COLUMN_NAME").isEmpty(), "getPrimaryKeys");
        check(column(meta.getIndexInfo(null, "public", topic, false, true), "INDEX_NAME").isEmpty(), "getIndexInfo");
        check(column(meta.getImportedKeys(null, "public", topic), "FK_NAME").isEmpty(), "getImportedKeys");
        check(column(meta.getExportedKeys(null, "public", topic), "FK_NAME").isEmpty(), "getExportedKeys");
        check(column(meta.getTypeInfo(), "TYPE_NAME").contains("int8"), "getTypeInfo");
    }

    static List<String> column(ResultSet rows, String name) throws SQLException {
        List<String> values = new ArrayList<>();
        try (rows) { while (rows.next()) values.add(rows.getString(name)); }
        return values;
    }

    static void errors() throws Exception {
        for (String[] pair : new String[][] {{"SELECT * FROM \"no such topic\"", "42P01"}, {"SELEC 1", "42601"}}) {
            try (Statement statement = connection.createStatement()) {
                statement.executeQuery(pair[0]);
                check(false, pair[0] + " gave no error");
            } catch (SQLException error) {
                check(pair[1].equals(error.getSQLState()), pair[0] + " gave " + error.getSQLState());
            }
        }
        expect("SELECT 1", "1;");
    }

    public static void main(String[] arguments) {
        for (int i = 0; i + 1 < arguments.length; i += 2) {
            if (arguments[i].equals("--bootstrap")) bootstrap = arguments[i + 1];
            if (arguments[i].equals("--pg")) pg = arguments[i + 1];
        }
        System.out.println("{\"client\": \"pgjdbc\", \"version\": \"" + org.postgresql.util.DriverInfo.DRIVER_VERSION + "\"}");
        Map<String, Operation> operations = new LinkedHashMap<>();
        operations.put("select", PgJdbc::select);
        operations.put("where", PgJdbc::where);
        operations.put("system columns", PgJdbc::systemColumns);
        operations.put("parameters", PgJdbc::parameters);
        operations.put("errors", PgJdbc::errors);
        for (var operation : operations.entrySet()) {
            String result = "ok", detail = "";
            try { operation.getValue().run(); } catch (Throwable error) {
                result = "failed";
                detail = error.toString().replaceAll("[\"\\\\\\p{Cntrl}]", " ");
            }
            System.out.println("{\"operation\": \"" + operation.getKey() + "\", \"result\": \"" + result + "\", \"detail\": \"" + detail + "\"}");
        }
        System.out.flush();
        Runtime.getRuntime().halt(0);
    }
}
