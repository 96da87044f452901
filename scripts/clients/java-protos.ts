// The contract as Java's build tools want it: without validation rules, which would bring a validator along, and with
// Java's own options. Everything else, the comments first of all, stays as it is.
const RULE_OF_ONEOF = /^ *option \(buf\.validate\.oneof\)[^;]*;\n/gm;
const IMPORT = 'import "buf/validate/validate.proto";\n';
const ONLY_RULES = / \[\(buf\.validate\.field\)[\s\S]*?\];$/gm;
const RULES_BEHIND = /,\n *\(buf\.validate\.field\)[\s\S]*?\n( *)\];$/gm;
const PACKAGE = 'package tailrace.v1;\n';
const JAVA = '\noption java_multiple_files = true;\noption java_package = "dev.tailrace.v1";\n';

/** Throws where the contract has come to be written in a way that this does not know. */
export function javaProto(name: string, text: string): string {
  const imports = text.replace(IMPORT, '');
  const plain = imports
    .replaceAll(RULE_OF_ONEOF, '')
    .replaceAll(RULES_BEHIND, '\n$1];')
    .replaceAll(ONLY_RULES, ';');
  // The options come behind the imports, where buf's format has them.
  const head = plain.match(/^(?:import [^\n]*\n)+/m);
  const after = head === null ? PACKAGE : head[0];
  const made = plain.replace(after, `${after}${JAVA}`);
  if (made.includes('buf.validate') || made.includes('buf/validate') || !made.includes(JAVA)) {
    throw new Error(`${name}: a validation rule is left over; see scripts/clients/java-protos.ts`);
  }
  return made;
}
