// The report page as it was built into this program, cut where a report's own text goes.
#pragma once

#include <string_view>

namespace gossamer::telemetry {

struct ReportAssets {
    std::string_view before_title, before_header, before_data, end;
};
ReportAssets report_assets();  // made by report_page/embed.py

}  // namespace gossamer::telemetry
