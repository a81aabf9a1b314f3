import { ReckonerError } from './errors.ts';

const FIRST_WORDS = new Set(['select', 'with', 'show', 'describe', 'desc', 'explain']);
/** Clauses that would lift a bound, write a file or choose the wire format. */
const FORBIDDEN_WORDS = new Set(['settings', 'outfile', 'format', 'infile']);
/** Functions that reach files, processes, other hosts or other rows' secrets. `file()` works even in read-only mode (measured on chDB 26.7). */
const FORBIDDEN_FUNCTIONS =
  /^(file|filecluster|url|urlcluster|remote|remotesecure|cluster|clusterallreplicas|s3.*|gcs|azureblob.*|hdfs.*|iceberg.*|hudi.*|deltalake.*|paimon.*|ytsaurus|mysql|postgresql|mongodb|redis|sqlite|odbc|jdbc|executable.*|input|dictionary|dictget.*|loop|python|catboostevaluate|arrowflight|prometheus.*|timeseries.*|ai[a-z]+|getclienthttpheader|oss|cosn|merge|mergetreeindex|mergetreeprojection|mergetreeanalyzeindexes.*|fuzz.*|sleep|sleepeachrow|getserversetting|getserverport|getmacro|showcertificate|readwkt.*|filesystem.*|addresstoline.*|addresstosymbol|demangle|structuretoformatschema|hostname|tcpport|generaterandom|view|viewexplain|viewifpermitted)$/;
/** Of those the ones that need no bracket: the engine also calls them by name, in `arrayMap(file, …)` and `* APPLY file`. */
const CALLED_BY_NAME =
  /^(file|filesystem[a-z]*|dictget[a-z0-9]*|ai(classify|embed|extract|generate[a-z]*|translate)|catboostevaluate|sleep|sleepeachrow|getserver[a-z]+|getmacro|getclienthttpheader|showcertificate|addressto[a-z]+|demangle|hostname|tcpport)$/;
/** What the system database may be asked about. Everything else in it can hold other people's statements and settings. */
const SYSTEM_TABLES = new Set(['columns', 'tables', 'databases', 'functions', 'one', 'numbers']);

type Token = { kind: 'word' | 'quoted' | 'symbol'; text: string };

const refuse = (found: string): never => {
  throw new ReckonerError(
    'REQUEST_INVALID',
    `This door is for reading: ${found}. Send one SELECT, WITH, SHOW, DESCRIBE or EXPLAIN over the views of this database.`,
  );
};

const PIECE =
  /\s+|--[^\n]*|#[ !][^\n]*|\/\*|'|"|`|[A-Za-z_][A-Za-z0-9_]*|\d[\w.]*|[^\sA-Za-z0-9_]/gy;

/**
 * What may stand outside quotes. A dollar opens a heredoc and a curly quote a text for the engine: were they symbols here, a quote
 * inside them would hide what follows from this reader and not from the engine.
 */
const PLAIN = /^[\t\n\f\r -#%-~]+$/;

/** End of a quoted text that starts before `from`; both ways of escaping the quote count. */
const endOfQuoted = (sql: string, from: number, quote: string): number => {
  for (let at = from; at < sql.length; at += 1) {
    if (sql[at] === '\\') at += 1;
    else if (sql[at] === quote) {
      if (sql[at + 1] !== quote) return at + 1;
      at += 1;
    }
  }
  return refuse('a quote is not closed');
};

const tokenize = (sql: string): Token[] => {
  const tokens: Token[] = [];
  const pieces = new RegExp(PIECE);
  while (pieces.lastIndex < sql.length) {
    const start = pieces.lastIndex;
    const text = pieces.exec(sql)?.[0];
    if (
      text === undefined ||
      (!text.startsWith('-') && !text.startsWith('#') && !PLAIN.test(text))
    ) {
      return refuse('a character that SQL does not use');
    }
    if (text === '/*') {
      const end = sql.indexOf('*/', start + 2);
      if (end < 0 || sql.slice(start + 2, end).includes('/*')) refuse('a comment is not closed');
      pieces.lastIndex = end + 2;
    } else if (text === "'" || text === '"' || text === '`') {
      const end = endOfQuoted(sql, start + 1, text);
      if (text !== "'") tokens.push({ kind: 'quoted', text: sql.slice(start + 1, end - 1) });
      else tokens.push({ kind: 'symbol', text: "'" });
      pieces.lastIndex = end;
    } else if (/^[A-Za-z_]/.test(text)) {
      tokens.push({ kind: 'word', text: text.toLowerCase() });
    } else if (!/^(\s|--|#)/.test(text)) {
      tokens.push({ kind: 'symbol', text });
    }
  }
  return tokens;
};

const checkName = (tokens: readonly Token[], at: number): void => {
  const token = tokens[at];
  if (!token || token.kind === 'symbol') return;
  const next = tokens[at + 1]?.text;
  const name = token.text.toLowerCase();
  const isCalled = next === '(' ? FORBIDDEN_FUNCTIONS : CALLED_BY_NAME;
  if (isCalled.test(name)) refuse(`${name}() reaches outside of it`);
  if (token.kind === 'quoted' && /[/\\]/.test(token.text)) refuse('a path in place of a table');
  if (
    token.kind === 'word' &&
    FORBIDDEN_WORDS.has(name) &&
    next !== '(' &&
    tokens[at - 1]?.text !== '.'
  ) {
    refuse(`${name.toUpperCase()} is not allowed`);
  }
  if (
    name === 'system' &&
    next === '.' &&
    !SYSTEM_TABLES.has(tokens[at + 2]?.text.toLowerCase() ?? '')
  ) {
    refuse('that part of the system database is not open');
  }
};

/**
 * The first belt of the read-only door; the engine's own read-only mode is the second. Looks at words, not at meaning: what it
 * cannot read it refuses.
 * @returns the statement without closing semicolons.
 * @throws ReckonerError REQUEST_INVALID.
 */
export const checkReadOnly = (sql: string): string => {
  if (sql.length > 100_000) refuse('the statement is longer than 100,000 characters');
  const statement = sql.replace(/[\s;]+$/, '');
  const tokens = tokenize(statement);
  const first = tokens.find((token) => token.text !== '(');
  if (first?.kind !== 'word' || !FIRST_WORDS.has(first.text))
    refuse('the statement does anything else');
  for (const [at, token] of tokens.entries()) {
    if (token.kind === 'symbol' && token.text === ';') refuse('it holds more than one statement');
    checkName(tokens, at);
  }
  return statement;
};
