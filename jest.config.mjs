/** @type {import('jest').Config} */
export default {
  testEnvironment: 'node',
  testMatch: ['**/*.test.ts'],
  cacheDirectory: '<rootDir>/node_modules/.cache/jest',
  // Clusters of real processes under load run alone, for four minutes, after the rest; without it: npm run test:cluster.
  ...(process.env.CLUSTER === undefined ? { roots: ['<rootDir>/test'], testPathIgnorePatterns: ['/node_modules/', '<rootDir>/test/cluster/'] } : { roots: ['<rootDir>/test/cluster'] }),
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
