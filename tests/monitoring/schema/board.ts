// What a dashboard may be: Grafana's published types, made strict for the panels that we use. A key that they do not
// have is an error, and enumerations are their values, as in JSON.
import type {
  Dashboard,
  FieldConfig,
  FieldConfigSource,
  Panel,
  RowPanel,
} from "./node_modules/@grafana/schema/dist/esm/raw/dashboard/x/dashboard_types.gen";
import type * as stat from "./node_modules/@grafana/schema/dist/esm/raw/composable/stat/panelcfg/x/StatPanelCfg_types.gen";
import type * as states from "./node_modules/@grafana/schema/dist/esm/raw/composable/statetimeline/panelcfg/x/StateTimelinePanelCfg_types.gen";
import type * as table from "./node_modules/@grafana/schema/dist/esm/raw/composable/table/panelcfg/x/TablePanelCfg_types.gen";
import type * as timeseries from "./node_modules/@grafana/schema/dist/esm/raw/composable/timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen";

type Plain<T> = unknown extends T
  ? T
  : T extends string
    ? `${T}`
    : T extends number | boolean | null | undefined
      ? T
      : { [K in keyof T]: Plain<T[K]> };

type PanelOf<Name extends string, Options, Custom> = Plain<Omit<Panel, "type" | "options" | "fieldConfig">> & {
  type: Name;
  options?: Plain<Partial<Options>>;
  fieldConfig?: Plain<Omit<FieldConfigSource, "defaults">> & {
    defaults: Plain<Omit<FieldConfig, "custom">> & { custom?: Plain<Partial<Custom>> };
  };
};

type OurPanel =
  | PanelOf<"stat", stat.Options, never>
  | PanelOf<"state-timeline", states.Options, states.FieldConfig>
  | PanelOf<"table", table.Options, table.FieldConfig>
  | PanelOf<"timeseries", timeseries.Options, timeseries.FieldConfig>
  | Plain<RowPanel>;

export type Board = Plain<Omit<Dashboard, "panels">> & { panels: OurPanel[] };
