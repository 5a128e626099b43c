export declare function startServices(options?: { readonly isDurable?: boolean; readonly say?: (line: string) => void }): Promise<{
  readonly databaseUrl: string;
  readonly redisUrl: string;
  readonly chromium: string;
  stop(): Promise<void>;
}>;
