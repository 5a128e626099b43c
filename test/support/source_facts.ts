import ts from 'typescript';

export interface Import {
  readonly specifier: string;
  /** Whether nothing of it is left at run time. */
  readonly isTypeOnly: boolean;
}

/** What the rules of the house look at in one source file. */
export interface SourceFacts {
  readonly imports: readonly Import[];
  readonly readsEnvironment: boolean;
  readonly readsClock: boolean;
  /** The comment that the file begins with, if it does. */
  readonly firstComment: string;
}

export function readSource(path: string, text: string): SourceFacts {
  const source = ts.createSourceFile(path, text, ts.ScriptTarget.Latest, true);
  const imports: Import[] = [];
  let [readsEnvironment, readsClock] = [false, false];
  const visit = (node: ts.Node): void => {
    const found = readImport(node);
    if (found !== undefined) imports.push(found);
    readsEnvironment ||= isEnvironment(node);
    readsClock ||= isClock(node);
    ts.forEachChild(node, visit);
  };
  visit(source);
  const comments = ts.getLeadingCommentRanges(text, 0) ?? [];
  return { imports, readsEnvironment, readsClock, firstComment: comments.map(({ pos, end }) => text.slice(pos, end)).join('\n') };
}

/** An import or re-export declaration, `import()` and the type `import('...')`. */
function readImport(node: ts.Node): Import | undefined {
  if (ts.isImportDeclaration(node)) {
    const { importClause } = node;
    const named = importClause?.namedBindings;
    const areTypes = importClause !== undefined && importClause.name === undefined && named !== undefined && ts.isNamedImports(named) && named.elements.length > 0 && named.elements.every((element) => element.isTypeOnly);
    return toImport(node.moduleSpecifier, importClause?.phaseModifier === ts.SyntaxKind.TypeKeyword || areTypes);
  }
  if (ts.isExportDeclaration(node) && node.moduleSpecifier !== undefined) {
    const { exportClause } = node;
    const areTypes = exportClause !== undefined && ts.isNamedExports(exportClause) && exportClause.elements.length > 0 && exportClause.elements.every((element) => element.isTypeOnly);
    return toImport(node.moduleSpecifier, node.isTypeOnly || areTypes);
  }
  if (ts.isCallExpression(node) && (node.expression.kind === ts.SyntaxKind.ImportKeyword || (ts.isIdentifier(node.expression) && node.expression.text === 'require'))) {
    const [argument] = node.arguments;
    return argument === undefined ? undefined : toImport(argument, false);
  }
  if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument)) return toImport(node.argument.literal, true);
  return undefined;
}

/** A specifier that is computed is given as its source text, which no rule lets through as a door. */
function toImport(node: ts.Node, isTypeOnly: boolean): Import {
  return { specifier: ts.isStringLiteralLike(node) ? node.text : node.getText(), isTypeOnly };
}

function isNamed(node: ts.Node | undefined, name: string): boolean {
  return node !== undefined && ts.isIdentifier(node) && node.text === name;
}

/** `object.member`, `object['member']` and `const { member } = object`. */
function isMember(node: ts.Node, object: string, member: string): boolean {
  if (ts.isPropertyAccessExpression(node)) return isNamed(node.expression, object) && node.name.text === member;
  if (ts.isElementAccessExpression(node)) return isNamed(node.expression, object) && ts.isStringLiteralLike(node.argumentExpression) && node.argumentExpression.text === member;
  if (!ts.isVariableDeclaration(node) || !ts.isObjectBindingPattern(node.name)) return false;
  return isNamed(node.initializer, object) && node.name.elements.some(({ propertyName, name }) => (propertyName ?? name).getText() === member);
}

function isEnvironment(node: ts.Node): boolean {
  if (isMember(node, 'process', 'env')) return true;
  return ts.isImportSpecifier(node) && (node.propertyName ?? node.name).text === 'env' && /^(node:)?process$/.test((node.parent.parent.parent.moduleSpecifier as ts.StringLiteral).text);
}

/** The present instant: `Date.now`, `new Date()` and `Date()`; a Date of a given instant is none. */
function isClock(node: ts.Node): boolean {
  if (isMember(node, 'Date', 'now')) return true;
  return (ts.isNewExpression(node) || ts.isCallExpression(node)) && isNamed(node.expression, 'Date') && (ts.isCallExpression(node) || (node.arguments ?? []).length === 0);
}
