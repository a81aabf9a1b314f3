/** The house's import rules as code; `npm run check:boundaries` runs them. */
const CLIENTS = ['kafkajs', 'lmdb', '@clickhouse/client', 'chdb', 'stripe', 'chargebee'];

const oneDoor = (client, door) => ({
  name: `one-door-${client.replace(/\W+/g, '-')}`,
  comment: `${client} has exactly one importing file: ${door}`,
  severity: 'error',
  from: { path: '^(schemas|pricing|services)/', pathNot: `^${door.replaceAll('.', '\\.')}$` },
  to: { path: `^node_modules/${client.replaceAll('/', '\\/')}(/|$)` },
});

const DOORS = {
  kafkajs: 'services/platform/kafka-event-log.ts',
  lmdb: 'services/platform/lmdb-event-log.ts',
  '@clickhouse/client': 'services/platform/clickhouse-warehouse.ts',
  chdb: 'services/platform/chdb-connection.ts',
  stripe: 'services/biller/stripe.ts',
  chargebee: 'services/biller/chargebee.ts',
};

module.exports = {
  forbidden: [
    {
      name: 'no-cycles',
      severity: 'error',
      from: {},
      to: { circular: true },
    },
    {
      name: 'schemas-import-only-zod',
      severity: 'error',
      from: { path: '^schemas/' },
      to: { pathNot: ['^schemas/', '^node_modules/zod/'] },
    },
    {
      name: 'pricing-imports-only-schemas-and-decimal',
      severity: 'error',
      from: { path: '^pricing/' },
      to: { pathNot: ['^pricing/', '^schemas/', '^node_modules/decimal\\.js/'] },
    },
    {
      name: 'cores-are-pure',
      comment:
        'A core imports schemas, pricing and its own folder: no node:, no npm client, no platform.',
      severity: 'error',
      from: { path: '^services/([^/]+)/core/' },
      to: { pathNot: ['^schemas/', '^pricing/', '^services/$1/core/'] },
    },
    {
      name: 'services-meet-through-topics',
      comment: 'A service never imports another service; only the CLI composes them.',
      severity: 'error',
      from: { path: '^services/([^/]+)/', pathNot: '^services/cli/' },
      to: { path: '^services/([^/]+)/', pathNot: ['^services/$1/', '^services/platform/'] },
    },
    {
      name: 'platform-knows-no-service',
      severity: 'error',
      from: { path: '^services/platform/' },
      to: { path: '^services/', pathNot: '^services/platform/' },
    },
    {
      name: 'the-witness-is-independent',
      comment: 'The sandbox keeps its own bill: it shares no code with what it is the witness of.',
      severity: 'error',
      from: { path: '^services/sandbox/' },
      to: { path: '^(schemas|pricing|services)/', pathNot: '^services/sandbox/' },
    },
    {
      name: 'nothing-imports-tests',
      severity: 'error',
      from: { path: '^(schemas|pricing|services)/' },
      to: { path: '^test/' },
    },
    ...CLIENTS.map((client) => oneDoor(client, DOORS[client])),
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    exclude: { path: '^services/console/web/dist/' },
    tsPreCompilationDeps: true,
    combinedDependencies: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['import', 'require', 'node', 'default', 'types'],
      extensions: ['.ts', '.tsx', '.js', '.mjs', '.cjs', '.json'],
    },
  },
};
