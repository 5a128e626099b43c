/** @type {import('jest').Config} */
export default {
  testEnvironment: 'node',
  roots: ['<rootDir>/test'],
  testMatch: ['**/*.test.ts'],
  // Three processes and four verifiers under load for five minutes: npm run test:cluster.
  testPathIgnorePatterns: ['/node_modules/', ...(process.env.CLUSTER === undefined ? ['<rootDir>/test/cluster/'] : [])],
  extensionsToTreatAsEsm: ['.ts'],
  transform: {
    '^.+\\.ts$': ['@swc/jest', {
      jsc: { target: 'es2024', parser: { syntax: 'typescript' } },
      module: { type: 'es6' },
      sourceMaps: 'inline',
    }],
  },
  // Two cores here: more workers only make Chromium and Postgres starve each other.
  maxWorkers: 2,
  // A limit and no measure: a busy machine takes minutes for what takes seconds.
  testTimeout: 180_000,
};
