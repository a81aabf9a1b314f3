import { z } from 'zod';
import { BudgetSchema } from './budget.ts';
import {
  BillingMappingSchema,
  RequirementSchema,
  RouteSchema,
  SecretReferenceSchema,
  TenantSchema,
  UpstreamSchema,
} from './control-record.ts';
import { NameSchema } from './ids.ts';

const port = z.int().min(0).max(65_535);

/** What is local to a process: ports, directories, brokers, addresses of the others, references to secrets. */
export const ProcessConfigSchema = z.strictObject({
  /** Everything the house keeps on disk lies below this directory. */
  data_dir: z.string().min(1).default('.reckoner'),
  proxy: z
    .strictObject({
      id: NameSchema.default('proxy-1'),
      host: z.string().default('127.0.0.1'),
      port: port.default(8787),
      durability: z.enum(['disk', 'process']).default('disk'),
      body_bytes_max: z.int().min(1024).max(1_073_741_824).default(33_554_432),
      /** Of all calls under way together; one key may hold a quarter. */
      bodies_bytes_max: z.int().min(1024).max(68_719_476_736).default(536_870_912),
      drains_max: z.int().min(0).max(10_000).default(256),
      drain_timeout_ms: z.int().min(100).max(3_600_000).default(120_000),
      /** When the local log may not grow on: by bytes kept, by age of the oldest event nobody has taken over yet, by room on the disk. */
      pressure: z
        .strictObject({
          /**
           * `fail_closed`: every call is answered 503. `degrade`: only keys that say `under_pressure: serve` go on, and with too little room on
           * the disk (`disk_free_bytes_min`) or a log that cannot be measured or written no key is served. `fail_open`: all go on unmetered,
           * counted and alarmed.
           */
          mode: z.enum(['fail_closed', 'degrade', 'fail_open']).default('fail_closed'),
          log_bytes_max: z.int().min(1_048_576).default(8_589_934_592),
          log_age_ms_max: z.int().min(1000).default(86_400_000),
          disk_free_bytes_min: z.int().min(0).default(268_435_456),
        })
        .prefault({}),
    })
    .prefault({}),
  back_office: z
    .strictObject({
      host: z.string().default('127.0.0.1'),
      /** Console and admin API. */
      port: port.default(8788),
      /** Ids of the proxies whose local logs are read, in embedded mode; the proxy of this file where none are named. */
      proxies: z.array(NameSchema).min(1).optional(),
      /** Token for console and admin API; made at first start in `data_dir/bootstrap-token` when not given. */
      bootstrap_token: SecretReferenceSchema.optional(),
    })
    .prefault({}),
  event_log: z
    .discriminatedUnion('kind', [
      z.strictObject({ kind: z.literal('lmdb') }),
      z.strictObject({
        kind: z.literal('kafka'),
        brokers: z.array(z.string().regex(/^[^:\s]+:\d+$/, 'expected host:port')).min(1),
        /** Put in front of every topic and group name, so that houses can share a cluster. */
        prefix: z
          .string()
          .regex(/^[a-z0-9.-]{0,40}$/)
          .default(''),
      }),
    ])
    .default({ kind: 'lmdb' }),
  warehouse: z
    .discriminatedUnion('kind', [
      z.strictObject({ kind: z.literal('chdb') }),
      z.strictObject({
        kind: z.literal('clickhouse'),
        url: z.url(),
        username: z.string().default('default'),
        password: SecretReferenceSchema.optional(),
      }),
    ])
    .default({ kind: 'chdb' }),
  prices: z
    .strictObject({
      /**
       * Folder of price books of one's own, `<books>/<provider>/NNNN.json`, laid over the ones shipped with the product: a provider that
       * both have is taken whole from this folder. Relative to this file.
       */
      books: z.string().min(1).optional(),
      /** Folder of what was agreed with providers, `<contracts>/<contract>/NNNN.json`. Relative to this file. */
      contracts: z.string().min(1).optional(),
      /** A book nobody has compared with its sources for longer is stale. */
      stale_after_days: z.int().min(1).max(3650).default(45),
      /** Different people who have to approve a version before it is published; with 2, none of them may have prepared it. */
      approvals_min: z.union([z.literal(1), z.literal(2)]).default(1),
    })
    .prefault({}),
  stripe: z
    .strictObject({
      api_key: SecretReferenceSchema,
      /** Name of the account in identifiers and outbox; by default host and key mode, so that a rotated key does not bill again. */
      account: z.string().min(1).max(100).optional(),
      /** Another host than Stripe's own, for a sandbox. */
      base_url: z.url().optional(),
    })
    .optional(),
  log_level: z.enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent']).default('info'),
});
export type ProcessConfig = z.infer<typeof ProcessConfigSchema>;

/** A key as written in `reckoner.yaml`: the whole `rk_…` secret by reference, hashed when it is applied. */
export const KeyDeclarationSchema = z.strictObject({
  id: NameSchema,
  tenant: NameSchema,
  secret: SecretReferenceSchema,
  feature: NameSchema.optional(),
  budgets: z.array(NameSchema).max(8).default([]),
  bind: z.record(z.string(), z.string().max(128)).default({}),
  models: z.array(z.string()).optional(),
  block_status: z.union([z.literal(402), z.literal(429), z.literal(403)]).default(402),
  require: RequirementSchema.optional(),
  under_pressure: z.enum(['refuse', 'serve']).optional(),
});
export type KeyDeclaration = z.infer<typeof KeyDeclarationSchema>;

/** What the house agrees on; applied to `control.records.v1` at start and by `reckoner apply`. */
export const RecordsConfigSchema = z.strictObject({
  tenants: z.array(TenantSchema).default([]),
  keys: z.array(KeyDeclarationSchema).default([]),
  upstreams: z.array(UpstreamSchema).default([]),
  routes: z.array(RouteSchema).default([]),
  budgets: z.array(BudgetSchema).default([]),
  mappings: z.array(BillingMappingSchema).default([]),
});
export type RecordsConfig = z.infer<typeof RecordsConfigSchema>;

/** `reckoner.yaml`. */
export const HouseConfigSchema = z.strictObject({
  process: ProcessConfigSchema.prefault({}),
  records: RecordsConfigSchema.prefault({}),
});
export type HouseConfig = z.infer<typeof HouseConfigSchema>;
