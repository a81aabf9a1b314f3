import type { Budget } from '../../../schemas/budget.ts';
import type {
  BillingMapping,
  ControlRecord,
  PeriodState,
  Route,
  Tenant,
  Upstream,
  VirtualKey,
} from '../../../schemas/control-record.ts';

/** The records in force, as far as planning needs them. */
export interface RecordsInForce {
  readonly tenants: ReadonlyMap<string, Tenant>;
  readonly keys: ReadonlyMap<string, VirtualKey>;
  readonly upstreams: ReadonlyMap<string, Upstream>;
  readonly routes: ReadonlyMap<string, Route>;
  readonly budgets: ReadonlyMap<string, Budget>;
  readonly mappings: ReadonlyMap<string, BillingMapping>;
}

/** Records as they are to be: keys hashed already. */
export interface WantedRecords {
  tenants: readonly Tenant[];
  keys: readonly VirtualKey[];
  upstreams: readonly Upstream[];
  routes: readonly Route[];
  budgets: readonly Budget[];
  mappings: readonly BillingMapping[];
}

type Kind = ControlRecord['kind'];

/** Records as far as they refer to each other: a key may be looked at before its secret could be read. */
export interface ReferringRecords extends Omit<WantedRecords, 'keys'> {
  keys: readonly (Pick<VirtualKey, 'id' | 'tenant' | 'budgets'> &
    Partial<Pick<VirtualKey, 'public_id'>>)[];
}

const twice = (kind: string, ids: readonly string[]): string[] =>
  [...new Set(ids.filter((id, at) => ids.indexOf(id) !== at))].map(
    (id) => `${kind} ${id} is declared twice`,
  );

/** References between records that lead nowhere, or across tenants. Every one, in words. */
export const findReferenceProblems = (
  wanted: ReferringRecords,
  inForce: RecordsInForce,
): string[] => {
  const tenants = new Set([...inForce.tenants.keys(), ...wanted.tenants.map((t) => t.id)]);
  const budgets = new Map(
    [...inForce.budgets.values(), ...wanted.budgets].map((budget) => [budget.id, budget.tenant]),
  );
  const problems = [
    ...twice(
      'tenant',
      wanted.tenants.map((record) => record.id),
    ),
    ...twice(
      'key',
      wanted.keys.map((record) => record.id),
    ),
    ...twice(
      'upstream',
      wanted.upstreams.map((record) => record.id),
    ),
    ...twice(
      'route',
      wanted.routes.map((record) => record.id),
    ),
    ...twice(
      'budget',
      wanted.budgets.map((record) => record.id),
    ),
    ...twice(
      'mapping',
      wanted.mappings.map((record) => record.id),
    ),
  ];
  const needTenant = (what: string, tenant: string): void => {
    if (!tenants.has(tenant)) problems.push(`${what} names tenant ${tenant}, which does not exist`);
  };
  for (const key of wanted.keys) {
    needTenant(`key ${key.id}`, key.tenant);
    for (const id of key.budgets) {
      const owner = budgets.get(id);
      if (owner === undefined)
        problems.push(`key ${key.id} names budget ${id}, which does not exist`);
      else if (owner !== key.tenant) {
        problems.push(
          `key ${key.id} of tenant ${key.tenant} names budget ${id} of tenant ${owner}`,
        );
      }
    }
  }
  for (const budget of wanted.budgets) needTenant(`budget ${budget.id}`, budget.tenant);
  for (const mapping of wanted.mappings) needTenant(`mapping ${mapping.id}`, mapping.tenant);
  return [
    ...problems,
    ...findRouteProblems(wanted, inForce),
    ...findSharedPublicIds(wanted.keys, inForce.keys),
  ];
};

/** What is wrong with one route, apart from its name. */
const routeProblems = (route: Route, upstreams: ReadonlyMap<string, Upstream>): string[] => {
  const problems: string[] = [];
  const dialects = new Set<string>();
  for (const [at, { targets }] of route.steps.entries()) {
    const seen = new Set<string>();
    for (const { upstream, model } of targets) {
      const found = upstreams.get(upstream);
      if (found) dialects.add(found.dialect);
      else problems.push(`route ${route.id} names upstream ${upstream}, which does not exist`);
      const target = `${upstream}${model === undefined ? '' : ` with model ${model}`}`;
      if (seen.has(target)) {
        problems.push(
          `route ${route.id} names upstream ${target} twice in step ${at + 1}; give it a larger weight instead`,
        );
      }
      seen.add(target);
    }
  }
  if (dialects.size > 1) {
    problems.push(
      `route ${route.id} mixes the dialects ${[...dialects].join(', ')}; a call is passed on as it comes, so all targets must speak one`,
    );
  }
  if (route.hedge_after_ms !== undefined && route.attempts_max < 2) {
    problems.push(
      `route ${route.id} is to hedge but makes one attempt at most, and a hedge is a second; raise attempts_max`,
    );
  }
  return problems;
};

/** Routes whose name is an upstream's, that lead to no upstream, or to upstreams of several dialects. Every problem, in words. */
export const findRouteProblems = (
  wanted: Pick<WantedRecords, 'routes' | 'upstreams'>,
  inForce: Pick<RecordsInForce, 'routes' | 'upstreams'>,
): string[] => {
  const upstreams = new Map([
    ...inForce.upstreams,
    ...wanted.upstreams.map((upstream) => [upstream.id, upstream] as const),
  ]);
  const routes = new Map([
    ...inForce.routes,
    ...wanted.routes.map((route) => [route.id, route] as const),
  ]);
  return [...routes.values()].flatMap((route) => [
    ...(upstreams.has(route.id)
      ? [`route ${route.id} has the name of an upstream; give one of them another`]
      : []),
    ...routeProblems(route, upstreams),
  ]);
};

/** Two keys with one public part would make one of them unfindable. */
const findSharedPublicIds = (
  wanted: ReferringRecords['keys'],
  inForce: ReadonlyMap<string, VirtualKey>,
): string[] => {
  const owners = new Map<string, string>();
  const wantedIds = new Set(wanted.map((key) => key.id));
  for (const key of inForce.values()) {
    if (!wantedIds.has(key.id)) owners.set(key.public_id, key.id);
  }
  const problems: string[] = [];
  for (const key of wanted) {
    if (key.public_id === undefined) continue;
    const owner = owners.get(key.public_id);
    if (owner !== undefined && owner !== key.id) {
      problems.push(`keys ${owner} and ${key.id} are the same secret; give each its own`);
    }
    owners.set(key.public_id, key.id);
  }
  return problems;
};

/** A text that is equal for equal values, whatever the order of their fields; absent and undefined are the same. */
export const canonicalText = (value: unknown): string => {
  if (Array.isArray(value)) return `[${value.map(canonicalText).join(',')}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value) ?? 'null';
  const fields = Object.entries(value)
    .filter(([, field]) => field !== undefined)
    .sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${fields.map(([name, field]) => `${JSON.stringify(name)}:${canonicalText(field)}`).join(',')}}`;
};

/** A declaration says nothing about revocation and expiry: those stay with the secret they were said of. */
const keepFate = (key: VirtualKey, before: VirtualKey | undefined): VirtualKey =>
  before && before.secret_hash === key.secret_hash
    ? {
        ...key,
        revoked: before.revoked,
        ...(before.expires_at === undefined ? {} : { expires_at: before.expires_at }),
      }
    : key;

/** The records that differ from what is in force, in the order tenants, upstreams, routes, budgets, keys, mappings. Removes nothing. */
export const planRecords = (wanted: WantedRecords, inForce: RecordsInForce): ControlRecord[] => {
  const differs = <T extends { id: string }>(
    records: readonly T[],
    current: ReadonlyMap<string, T>,
  ): T[] =>
    records.filter((record) => canonicalText(record) !== canonicalText(current.get(record.id)));
  const as = <K extends Kind>(kind: K, bodies: readonly { id: string }[]): ControlRecord[] =>
    bodies.map((body) => ({ kind, id: body.id, deleted: false, body }) as ControlRecord);
  const keys = wanted.keys.map((key) => keepFate(key, inForce.keys.get(key.id)));
  return [
    ...as('tenant', differs(wanted.tenants, inForce.tenants)),
    ...as('upstream', differs(wanted.upstreams, inForce.upstreams)),
    ...as('route', differs(wanted.routes, inForce.routes)),
    ...as('budget', differs(wanted.budgets, inForce.budgets)),
    ...as('key', differs(keys, inForce.keys)),
    ...as('mapping', differs(wanted.mappings, inForce.mappings)),
  ];
};

/** Whether the newest word about a record is this one. */
export const isInForce = (
  record: ControlRecord,
  inForce: RecordsInForce & { readonly periods: ReadonlyMap<string, PeriodState> },
): boolean => {
  const maps = {
    tenant: inForce.tenants,
    key: inForce.keys,
    upstream: inForce.upstreams,
    route: inForce.routes,
    budget: inForce.budgets,
    mapping: inForce.mappings,
    period: inForce.periods,
  };
  const current: unknown = maps[record.kind].get(record.id);
  return record.deleted
    ? current === undefined
    : canonicalText(current) === canonicalText(record.body);
};
