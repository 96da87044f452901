// What of a database may be read, by the schemas and tables that a request names.
export interface AllowedNames {
  /** Empty: all. */
  readonly schemas: readonly string[];
  /** As "table" or "schema.table". Empty: all in the schemas. */
  readonly tables: readonly string[];
}

/** Whether anything is named: what is not, may not be read then. */
export function isBounded({ schemas, tables }: AllowedNames): boolean {
  return schemas.length + tables.length > 0;
}

export function isAllowed(allowed: AllowedNames, schema: string, table: string): boolean {
  const { schemas, tables } = allowed;
  if (schemas.length > 0 && !schemas.includes(schema)) return false;
  if (tables.length === 0) return true;
  return tables.includes(table) || tables.includes(`${schema}.${table}`);
}
