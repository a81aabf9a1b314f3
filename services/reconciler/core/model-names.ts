const SNAPSHOT_DATE = /-(\d{8}|\d{4}-\d{2}-\d{2})$/;

/** `claude-haiku-4-5-20251001` is `claude-haiku-4-5` without its date. */
export const withoutDate = (model: string): string => model.replace(SNAPSHOT_DATE, '');

/** A name on papers that are one set: exact, else without its date, else the only snapshot of a bare name; null when none fits. */
const createLookup = (names: Iterable<string>): ((model: string) => string | null) => {
  const known = new Set(names);
  const dated = new Map<string, string[]>();
  for (const model of known) {
    const bare = withoutDate(model);
    if (bare !== model) dated.set(bare, [...(dated.get(bare) ?? []), model]);
  }
  return (model) => {
    if (known.has(model)) return model;
    if (known.has(withoutDate(model))) return withoutDate(model);
    const snapshots = dated.get(model);
    return snapshots?.length === 1 ? (snapshots[0] ?? null) : null;
  };
};

/**
 * How a statement calls a model of ours. Statements name some models without their snapshot date, and a call whose reply never
 * came names its model as requested, maybe without one. The exact name always wins, and a name that could mean two
 * models stays as it is.
 * @param onStatement names on the statement: they decide the cells.
 * @param onItems names in the provider's record per call, for models that the statement does not name.
 */
export const createModelNaming = (
  onStatement: Iterable<string>,
  onItems: Iterable<string>,
): ((model: string) => string) => {
  const byStatement = createLookup(onStatement);
  const byItems = createLookup(onItems);
  return (model) => {
    const named = byStatement(model);
    if (named !== null) return named;
    const snapshot = byItems(model) ?? model;
    return byStatement(snapshot) ?? snapshot;
  };
};
