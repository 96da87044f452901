// Names that a statement may have anywhere: found whatever hides them, and apart from longer names.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isSelect, sqlWords } from '../../src/tools/databases/sql-words.ts';

test('a name is found wherever and however it stands', () => {
  for (const sql of [
    'SELECT * FROM users',
    'select*from"Users"',
    'SELECT 1 FROM/**/users--x',
    'SELECT * FROM shop.users u',
    'SELECT * FROM `users`',
    'TABLE users;',
    "SELECT 'users'",
    '-- users\nSELECT 1',
    'SELECT * FROM ＵＳＥＲＳ',
    'SELECT * FROM ùsers',
    'SELECT * FROM uſers',
    'SELECT (users).id',
  ]) {
    assert.ok(sqlWords(sql).names('users'), sql);
    assert.ok(sqlWords(sql).names('USERS'), sql);
  }
  assert.ok(sqlWords('SELECT * FROM users_İ').names('users_i'));
  assert.ok(sqlWords('SELECT * FROM "my table"').names('my table'));
  assert.ok(sqlWords('SELECT * FROM "ΟΔΟΣ"').names('οδος'));
});

test('a part of a longer name is not it', () => {
  for (const sql of [
    'SELECT * FROM users2',
    'SELECT superusers',
    'SELECT users_id',
    'SELECT users$',
  ]) {
    assert.ok(!sqlWords(sql).names('users'), sql);
  }
});

test('a name that the database would cut is the one that it cuts it to', () => {
  const name = 'n'.repeat(63);
  assert.ok(sqlWords(`SELECT * FROM ${name}more`).names(name, 63));
  assert.ok(!sqlWords(`SELECT * FROM ${name}more`).names(name));
  assert.ok(!sqlWords('SELECT * FROM nnnn').names('nn', 63));
});

test('a call is found past space, quotes and comments, and a name alone is none', () => {
  for (const sql of [
    'SELECT sleep(1)',
    'SELECT sleep (1)',
    'SELECT SLEEP/**/(1)',
    'SELECT `sleep`(1)',
    'SELECT "sleep" (1)',
    'SELECT sleep--\n(1)',
    'SELECT sleep#\n(1)',
    'SELECT pg_catalog.sleep\n\t(1)',
    `SELECT sleep${' '.repeat(500)}(1)`,
  ]) {
    assert.ok(sqlWords(sql).calls('sleep'), sql);
  }
  for (const sql of ["SELECT sleep FROM nights WHERE x LIKE 'sleep'", 'SELECT sleeps(1)']) {
    assert.ok(!sqlWords(sql).calls('sleep'), sql);
  }
  assert.ok(sqlWords('SELECT * FROM `mysql` . user').qualifies('mysql'));
  assert.ok(!sqlWords("SELECT 'mysql'").qualifies('mysql'));
});

test('what is looked at first is past comments', () => {
  for (const sql of [
    'SELECT 1',
    ' /* a */ (select 1)',
    '-- a\nWITH x AS (SELECT 1) SELECT 1',
    'TABLE t',
  ]) {
    assert.ok(isSelect(sql), sql);
  }
  for (const sql of [
    '',
    'DELETE FROM t',
    '/*! SELECT */ DELETE',
    '/*M! x*/ SELECT 1',
    'selects',
    'EXPLAIN SELECT 1',
    'COMMIT',
  ]) {
    assert.ok(!isSelect(sql), sql);
  }
  // In linear time.
  assert.ok(!isSelect('-- '.repeat(7_000)));
  assert.ok(!isSelect('('.repeat(20_000)));
});
