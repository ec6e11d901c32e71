//! The native database is as strict as workerd, counts rows as the platform does, and fails on demand.

use mailbus_worker::native::Database;
use mailbus_worker::storage::{Storage, StorageError, Value};

fn database() -> Database {
    let mut database = Database::in_memory().unwrap();
    database
        .execute("CREATE TABLE t (id INTEGER PRIMARY KEY, x TEXT NOT NULL) STRICT", &[])
        .unwrap();
    database.take_rows();
    database
}

fn one(database: &mut Database, sql: &'static str, parameters: &[Value]) -> Value {
    database.query(sql, parameters).unwrap()[0][0].clone()
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

#[test]
fn numbers_are_bound_as_doubles() {
    let mut database = database();
    assert_eq!(one(&mut database, "SELECT typeof(?1)", &[Value::Integer(5)]), text("real"));
    assert!(database.query("SELECT ?1 / 2", &[Value::Integer(5)]).is_err(), "2.5 is no integer");
    assert_eq!(one(&mut database, "SELECT 5 / 2", &[]), Value::Integer(2));
    // An INTEGER column turns them back, a TEXT column does not.
    database
        .execute("INSERT INTO t VALUES (?1, ?2)", &[Value::Integer(5), Value::Integer(5)])
        .unwrap();
    assert_eq!(one(&mut database, "SELECT typeof(id) FROM t", &[]), text("integer"));
    assert_eq!(one(&mut database, "SELECT x FROM t", &[]), text("5.0"));
    assert_eq!(
        one(&mut database, "SELECT x FROM t WHERE id = ?1", &[Value::Integer(5)]),
        text("5.0")
    );
    assert_eq!(
        one(&mut database, "SELECT count(*) FROM (SELECT 1 FROM t LIMIT ?1)", &[Value::Integer(1)]),
        Value::Integer(1)
    );
}

#[test]
fn integers_beyond_a_double_are_refused_both_ways() {
    let most = (1 << 53) - 1;
    let mut database = database();
    for exact in [most, -most] {
        assert_eq!(
            one(&mut database, "SELECT ?1", &[Value::Integer(exact)]),
            Value::Integer(exact)
        );
    }
    assert!(database.query("SELECT ?1", &[Value::Integer(most + 1)]).is_err());
    assert!(database.query("SELECT 9007199254740992", &[]).is_err());
}

#[test]
fn what_workerd_refuses_is_refused() {
    for sql in [
        "BEGIN",
        "COMMIT",
        "ROLLBACK",
        "SAVEPOINT s",
        "PRAGMA user_version",
        "PRAGMA journal_mode = DELETE",
        "ATTACH ':memory:' AS other",
        "VACUUM",
        "CREATE TEMP TABLE y (a)",
        "SELECT * FROM pragma_table_list",
        "SELECT 1 UNION SELECT 2 UNION SELECT 3 UNION SELECT 4 UNION SELECT 5 UNION SELECT 6",
        "DELETE FROM _shell_alarm",
        "SELECT 1; SELECT 2",
        "not sql",
    ] {
        let mut database = database();
        assert!(database.execute(sql, &[]).is_err(), "{sql}");
        assert!(database.query(sql, &[]).is_err(), "{sql}");
        database.execute("INSERT INTO t (x) VALUES ('still works')", &[]).unwrap();
    }
}

#[test]
fn there_are_at_most_a_hundred_parameters_and_none_too_few() {
    let mut database = database();
    assert!(database.query("SELECT ?100", &vec![Value::Null; 100]).is_ok());
    assert!(database.query("SELECT ?101", &vec![Value::Null; 101]).is_err());
    assert!(database.query("SELECT ?1, ?2", &[Value::Null]).is_err());
    assert!(database.query("SELECT ?1", &[Value::Null, Value::Null]).is_err());
}

#[test]
fn a_query_does_not_write() {
    let mut database = database();
    assert!(database.query("INSERT INTO t (x) VALUES ('a') RETURNING id", &[]).is_err());
    assert_eq!(one(&mut database, "SELECT count(*) FROM t", &[]), Value::Integer(0));
}

#[test]
fn rows_are_counted_as_the_platform_counts_them() {
    let mut database = Database::in_memory().unwrap();
    let mut rows = |sql| database.execute(sql, &[]).unwrap();
    assert_eq!(rows("CREATE TABLE w (k TEXT PRIMARY KEY, v INTEGER) STRICT, WITHOUT ROWID"), 2);
    assert_eq!(rows("INSERT INTO w VALUES ('a', 1), ('b', 2)"), 2);
    assert_eq!(rows("UPDATE w SET k = 'c' WHERE k = 'b'"), 1, "a key update");
    assert_eq!(rows("UPDATE w SET v = v"), 2, "to the same value");
    assert_eq!(rows("UPDATE w SET v = 9 WHERE k = 'none'"), 0);
    assert_eq!(
        rows("INSERT INTO w VALUES ('a', 5) ON CONFLICT (k) DO UPDATE SET v = excluded.v"),
        1
    );
    assert_eq!(rows("DELETE FROM w WHERE k BETWEEN 'a' AND 'z'"), 2, "a range delete");
    rows("CREATE TABLE r (k TEXT PRIMARY KEY, v INTEGER) STRICT");
    assert_eq!(rows("INSERT INTO r VALUES ('a', 1)"), 2, "a text key on a rowid table");
    rows("CREATE INDEX r_v ON r (v)");
    assert_eq!(rows("INSERT INTO r VALUES ('b', 1)"), 3, "one more index");
    // The same text as before the index.
    assert_eq!(rows("INSERT INTO r VALUES ('c', 1)"), 3);
    assert_eq!(database.take_rows(), 22);
    assert_eq!(database.take_rows(), 0);
}

#[test]
fn a_planted_fault_meets_exactly_its_statement() {
    let mut database = database();
    database.faults().fail_at = Some(2);
    let insert = "INSERT INTO t (x) VALUES ('a')";
    assert!(database.execute(insert, &[]).is_ok());
    assert!(database.query("SELECT 1", &[]).is_err());
    assert!(database.execute(insert, &[]).is_ok());
    database.faults().full = true;
    assert!(
        matches!(database.execute(insert, &[]), Err(StorageError(said)) if said.contains("full"))
    );
    assert_eq!(one(&mut database, "SELECT count(*) FROM t", &[]), Value::Integer(2));
}

#[test]
fn a_bookmark_is_come_back_to_in_memory_and_in_a_file() {
    let folder = tempfile::tempdir().unwrap();
    for mut database in
        [Database::in_memory().unwrap(), Database::in_file(&folder.path().join("d")).unwrap()]
    {
        let empty = database.bookmark().unwrap();
        database
            .execute("CREATE TABLE t (id INTEGER PRIMARY KEY, x TEXT NOT NULL) STRICT", &[])
            .unwrap();
        let mut marks = Vec::new();
        for n in 0..50 {
            marks.push((n, database.bookmark().unwrap()));
            database.execute("INSERT INTO t (x) VALUES (?1)", &[text(&"x".repeat(1000))]).unwrap();
        }
        for (n, mark) in [&marks[40], &marks[7], &marks[49], &marks[0]] {
            database.restore(mark).unwrap();
            assert_eq!(one(&mut database, "SELECT count(*) FROM t", &[]), Value::Integer(*n));
            database.execute("INSERT INTO t (x) VALUES ('after')", &[]).unwrap();
        }
        database.restore(&empty).unwrap();
        assert!(database.query("SELECT count(*) FROM t", &[]).is_err());
        database.execute("CREATE TABLE t (id INTEGER PRIMARY KEY) STRICT", &[]).unwrap();
    }
}

#[test]
fn a_file_is_one_process_and_keeps_what_was_committed() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("d");
    let mut database = Database::in_file(&file).unwrap();
    database.execute("CREATE TABLE t (id INTEGER PRIMARY KEY) STRICT", &[]).unwrap();
    assert!(Database::in_file(&file).is_err(), "it is locked");
    drop(database);
    let mut database = Database::in_file(&file).unwrap();
    assert_eq!(one(&mut database, "SELECT count(*) FROM t", &[]), Value::Integer(0));
}

#[test]
fn an_event_happens_as_a_whole_or_not_at_all() {
    let mut database = database();
    let insert = |database: &mut Database| {
        database.execute("INSERT INTO t (x) VALUES ('a')", &[])?;
        database.execute("INSERT INTO t (x) VALUES ('b')", &[])
    };
    let count = |database: &mut Database| one(database, "SELECT count(*) FROM t", &[]);
    // The third statement is the commit.
    for statement in 1..=3 {
        database.faults().fail_at = Some(statement);
        assert!(database.transact(insert).is_err());
        assert_eq!(count(&mut database), Value::Integer(0), "statement {statement} has failed");
    }
    database.transact(insert).unwrap();
    assert_eq!(count(&mut database), Value::Integer(2));
}

#[test]
fn a_cleared_database_has_its_tables_and_no_rows() {
    let mut database = database();
    let make = "CREATE TABLE u (id INTEGER PRIMARY KEY REFERENCES t (id)) STRICT";
    database.execute(make, &[]).unwrap();
    database.execute("INSERT INTO t VALUES (1, 'a')", &[]).unwrap();
    database.execute("INSERT INTO u VALUES (1)", &[]).unwrap();
    database.clear().unwrap();
    for query in ["SELECT count(*) FROM t", "SELECT count(*) FROM u"] {
        assert_eq!(one(&mut database, query, &[]), Value::Integer(0));
    }
}
