variable "x" {
  default = 1
}
failover_strategy = "active-active"
